// socket.io over two servers: by publish/subscribe, by sharded channels, and by a Redis stream.
import assert from 'node:assert'
import { createServer } from 'node:http'
import { createAdapter, createShardedAdapter } from '@socket.io/redis-adapter'
import { createAdapter as createStreamsAdapter } from '@socket.io/redis-streams-adapter'
import Redis from 'ioredis'
import { createClient } from 'redis'
import { Server } from 'socket.io'
import { io } from 'socket.io-client'
import { pause, url } from './where.mjs'

const connect = () => createClient({ url }).connect()
const adapters = {
  channels: async () => createAdapter(await connect(), await connect()),
  sharded: async () => createShardedAdapter(await connect(), await connect()),
  streams: async () => createStreamsAdapter(new Redis(url)),
}
for (const [name, adapter] of Object.entries(adapters)) {
  const servers = []
  for (let n = 0; n < 2; n++) {
    const http = createServer()
    const server = new Server(http, { adapter: await adapter() })
    server.on('connection', (socket) => {
      socket.join('room')
      socket.on('say', (text) => server.to('room').emit('said', text))
    })
    await new Promise((done) => http.listen(0, done))
    servers.push(http.address().port)
  }
  const [one, two] = servers.map((port) => io(`http://127.0.0.1:${port}`, { transports: ['websocket'] }))
  await Promise.all([one, two].map((socket) => new Promise((done) => socket.on('connect', done))))
  await pause(300)
  const heard = new Promise((done) => two.on('said', done))
  one.emit('say', `hello by ${name}`)
  assert.equal(await heard, `hello by ${name}`)
  one.close()
  two.close()
}
process.exit(0)
