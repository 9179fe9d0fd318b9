// connect-redis with express-session.
import assert from 'node:assert'
import { RedisStore } from 'connect-redis'
import express from 'express'
import session from 'express-session'
import { createClient } from 'redis'
import { url } from './where.mjs'

const client = await createClient({ url }).connect()
const app = express()
app.use(session({ store: new RedisStore({ client }), secret: 's', resave: false, saveUninitialized: false }))
app.get('/', (request, response) => {
  request.session.visits = (request.session.visits ?? 0) + 1
  response.send(String(request.session.visits))
})
const server = await new Promise((done) => { const s = app.listen(0, () => done(s)) })
let cookie = ''
const seen = []
for (let n = 0; n < 3; n++) {
  const response = await fetch(`http://127.0.0.1:${server.address().port}/`, { headers: { cookie } })
  cookie = response.headers.get('set-cookie')?.split(';')[0] ?? cookie
  seen.push(await response.text())
}
assert.deepEqual(seen, ['1', '2', '3'])
server.close()
server.closeAllConnections()
await client.quit()
