// Changes in ten lines, with node-redis and with ioredis: channels of changes.
import assert from 'node:assert'
import Redis from 'ioredis'
import { createClient } from 'redis'
import { db, port, url } from './where.mjs'

const name = (key) => `db${db}/${key}`
const writer = await createClient({ url }).connect()
const subscriber = await createClient({ url }).connect()
const channel = `cdc:$all?prefix=${name('order:')}`
const first = new Promise((done) => subscriber.subscribe(channel, (message) => {
  const change = JSON.parse(message)
  if (change.kind === 'event') done(change)
}))
await new Promise((done) => setTimeout(done, 200))
await writer.hSet('order:1', 'state', 'placed')
const change = await first
assert.deepEqual([change.stream, change.type, change.data], [name('order:1'), 'HSet', ['state', 'placed']])
subscriber.destroy()

const other = new Redis({ port, db })
const again = `${channel}&from=${change.position - 1}`
const second = new Promise((done) => other.on('message', (_channel, message) => {
  if (JSON.parse(message).kind === 'event') done(JSON.parse(message))
}))
await other.subscribe(again)
assert.equal((await second).position, change.position)
other.disconnect()
writer.destroy()
