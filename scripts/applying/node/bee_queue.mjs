// Bee-Queue: jobs with results.
import assert from 'node:assert'
import Queue from 'bee-queue'
import { db, port } from './where.mjs'

const queue = new Queue('numbers', { redis: { port, db } })
queue.process(async (job) => job.data.n + 1)
const run = (n) => new Promise((done, failed) => {
  const job = queue.createJob({ n })
  job.on('succeeded', done).on('failed', failed)
  job.save().catch(failed)
})
assert.deepEqual(await Promise.all([...Array(20).keys()].map(run)), [...Array(20).keys()].map((n) => n + 1))
await queue.close()
