// ioredis over TLS.

import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { createRequire } from "node:module";
import Redis from "ioredis";

const directory = process.env.CLIENT_DIR;
const [port, demanding] = [process.env.CLIENT_PORT, process.env.CLIENT_PORT_DEMANDING].map(Number);
const read = (name) => fs.readFileSync(path.join(directory, name));

function connect({ at = port, host = "localhost", ca = "ca", certificate, ...more } = {}) {
    const tls = { ca: read(`${ca}.crt`), servername: host === "localhost" ? "localhost" : undefined };
    if (certificate) {
        tls.cert = read(`${certificate}.crt`);
        tls.key = read(`${certificate}.key`);
    }
    const redis = new Redis({ host, port: at, tls, lazyConnect: true, retryStrategy: null, maxRetriesPerRequest: 0, enableReadyCheck: false, ...more });
    redis.on("error", (error) => (redis.seen = error));
    return redis;
}

// What `use` makes of a client, which is then ended.
async function withClient(options, use) {
    const redis = connect(options);
    try {
        await redis.connect();
        return await use(redis);
    } catch (error) {
        // Of a refused login the promise says only that the connection has ended.
        throw redis.seen ?? error;
    } finally {
        redis.disconnect();
    }
}

const refused = (options, use, text) => assert.rejects(withClient(options, use), text);
const ping = (redis) => redis.ping();

await withClient({ username: "anna", password: "pw" }, async (redis) => {
    assert.equal(await redis.acl("WHOAMI"), "anna");
    assert.equal(await redis.set("app:js", "x".repeat(100_000)), "OK");
    assert.equal((await redis.get("app:js")).length, 100_000);
    assert.deepEqual(await redis.multi().set("app:js2", 1).incr("app:js2").exec(), [[null, "OK"], [null, 2]]);
    const pipeline = redis.pipeline();
    for (let n = 0; n < 1000; n++) pipeline.incr("app:js:n");
    assert.equal((await pipeline.exec()).length, 1000);
    await assert.rejects(redis.get("other"), /NOPERM/);
    await assert.rejects(redis.flushall(), /NOPERM/);
});
await refused({ username: "anna", password: "no" }, ping, /WRONGPASS/);
await refused({}, ping, /NOAUTH/);
assert.equal(await withClient({ certificate: "anna" }, (redis) => redis.acl("WHOAMI")), "anna");
await refused({ certificate: "nobody" }, ping, /NOAUTH/);
assert.equal(await withClient({ at: demanding, certificate: "anna" }, ping), "PONG");
await refused({ at: demanding, password: "secret" }, ping);
await refused({ ca: "other-ca", password: "secret" }, ping);
await refused({ host: "127.0.0.1", password: "secret" }, ping);
console.log(`ioredis ${createRequire(import.meta.url)("ioredis/package.json").version}`);
process.exit(0);
