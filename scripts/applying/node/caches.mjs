// cache-manager over Keyv, and ioredis's transactions, pipelines and scripts.
import assert from 'node:assert'
import KeyvRedis from '@keyv/redis'
import { createCache } from 'cache-manager'
import Redis from 'ioredis'
import { Keyv } from 'keyv'
import { db, port, url } from './where.mjs'

const store = new KeyvRedis(url)
const cache = createCache({ stores: [new Keyv({ store })] })
let calls = 0
const square = () => cache.wrap('square', async () => ++calls * 9, 60000)
assert.deepEqual([await square(), await square()], [9, 9])
await cache.mset([{ key: 'a', value: 1 }, { key: 'b', value: { c: 2 } }])
assert.deepEqual(await cache.mget(['a', 'b', 'none']), [1, { c: 2 }, undefined])
await cache.clear()
assert.equal(await cache.get('a'), undefined)
await cache.disconnect()

const client = new Redis({ port, db })
client.defineCommand('both', { numberOfKeys: 2, lua: "return {redis.call('get', KEYS[1]), redis.call('get', KEYS[2])}" })
const replies = await client.multi().set('x', '1').set('y', '2').incr('x').exec()
assert.deepEqual(replies, [[null, 'OK'], [null, 'OK'], [null, 2]])
assert.deepEqual(await client.both('x', 'y'), ['2', '2'])
client.disconnect()
