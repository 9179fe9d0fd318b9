// rate-limiter-flexible, rate-limit-redis with express-rate-limit.
import assert from 'node:assert'
import express from 'express'
import { rateLimit } from 'express-rate-limit'
import Redis from 'ioredis'
import { RateLimiterRedis } from 'rate-limiter-flexible'
import { RedisStore } from 'rate-limit-redis'
import { db, port } from './where.mjs'

const client = new Redis({ port, db })
const limiter = new RateLimiterRedis({ storeClient: client, points: 3, duration: 60 })
const tries = await Promise.allSettled([...Array(5)].map(() => limiter.consume('user')))
assert.equal(tries.filter((tried) => tried.status === 'fulfilled').length, 3)

const app = express()
const store = new RedisStore({ sendCommand: (...words) => client.call(...words) })
app.use(rateLimit({ windowMs: 60000, limit: 2, store, validate: false }))
app.get('/', (_request, response) => response.send('yes'))
const server = await new Promise((done) => { const s = app.listen(0, () => done(s)) })
const states = []
for (let n = 0; n < 4; n++) states.push((await fetch(`http://127.0.0.1:${server.address().port}/`)).status)
assert.deepEqual(states, [200, 200, 429, 429])
server.close()
server.closeAllConnections()
client.disconnect()
