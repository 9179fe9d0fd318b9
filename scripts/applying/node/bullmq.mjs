// BullMQ: jobs by priority, delayed, repeated, in a flow, with events.
import assert from 'node:assert'
import { FlowProducer, Queue, QueueEvents, Worker } from 'bullmq'
import { db, pause, port } from './where.mjs'

const connection = { port, db, maxRetriesPerRequest: null }
const queue = new Queue('numbers', { connection })
const events = new QueueEvents('numbers', { connection })
await events.waitUntilReady()
const worker = new Worker('numbers', async (job) => job.data.n + 1, { connection, concurrency: 5 })
const jobs = await queue.addBulk([...Array(50).keys()].map((n) => ({ name: 'add', data: { n }, opts: { priority: n % 5 } })))
const results = await Promise.all(jobs.map((job) => job.waitUntilFinished(events, 30000)))
assert.deepEqual(results, [...Array(50).keys()].map((n) => n + 1))
const later = await queue.add('add', { n: 5 }, { delay: 300 })
assert.equal(await later.waitUntilFinished(events, 30000), 6)
await queue.upsertJobScheduler('again', { every: 200 }, { name: 'add', data: { n: 7 } })
for (let n = 0; n < 100 && (await queue.getCompletedCount()) < 53; n++) await pause(100)
assert.ok((await queue.getCompletedCount()) >= 53)
await queue.removeJobScheduler('again')
const flow = new FlowProducer({ connection })
const children = [1, 2].map((n) => ({ name: 'add', queueName: 'numbers', data: { n } }))
const tree = await flow.add({ name: 'add', queueName: 'numbers', data: { n: 10 }, children })
assert.equal(await tree.job.waitUntilFinished(events, 30000), 11)
assert.deepEqual(Object.values(await tree.job.getChildrenValues()).sort(), [2, 3])
await Promise.all([worker.close(), queue.close(), events.close(), flow.close()])
