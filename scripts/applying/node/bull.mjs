// Bull: jobs with results, and a delayed one.
import assert from 'node:assert'
import Queue from 'bull'
import { db, port } from './where.mjs'

const queue = new Queue('numbers', { redis: { port, db } })
queue.process(async (job) => job.data.n + 1)
const jobs = await Promise.all([...Array(20).keys()].map((n) => queue.add({ n })))
assert.deepEqual(await Promise.all(jobs.map((job) => job.finished())), [...Array(20).keys()].map((n) => n + 1))
const later = await queue.add({ n: 5 }, { delay: 300 })
assert.equal(await later.finished(), 6)
await queue.close()
