// redlock: a lock, extended, that another cannot have.
import assert from 'node:assert'
import Redis from 'ioredis'
import redlock from 'redlock'
import { db, port } from './where.mjs'

const Redlock = redlock.default ?? redlock
const client = new Redis({ port, db })
const locks = new Redlock([client], { retryCount: 0 })
const lock = await locks.lock(['own'], 10000).catch(() => locks.lock('own', 10000))
await assert.rejects(locks.lock('own', 10000).catch((error) => { throw error }))
const longer = await lock.extend(20000)
await (longer.unlock ?? longer.release).call(longer)
await locks.lock('own', 1000)
client.disconnect()
