// graphql-redis-subscriptions: published events reach iterators, by name and by pattern.
import assert from 'node:assert'
import { RedisPubSub } from 'graphql-redis-subscriptions'
import { db, pause, port } from './where.mjs'

const pubsub = new RedisPubSub({ connection: { port, db } })
const got = []
await pubsub.subscribe('news', (payload) => got.push(payload.n))
await pubsub.subscribe('other.*', (payload) => got.push(payload.n), { pattern: true })
for (let n = 0; n < 5; n++) await pubsub.publish(n % 2 ? 'news' : 'other.thing', { n })
for (let n = 0; n < 100 && got.length < 5; n++) await pause(50)
assert.deepEqual(got.sort(), [0, 1, 2, 3, 4])
await pubsub.close()
