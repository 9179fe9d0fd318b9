// The client of KurrentDB for Node. CLIENT_KURRENTDB, and with _USERS, _TLS and _OTHER, are connection strings: the last has
// the authority of another server.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import * as k from "@kurrent/kurrentdb-client";

const client = k.KurrentDBClient.connectionString(process.env.CLIENT_KURRENTDB);
const event = (type, n) => k.jsonEvent({ type, data: { n }, metadata: { of: "node" } });
const events = (type, count) => Array.from({ length: count }, (_, n) => event(type, n));
const all = async (read) => {
  const found = [];
  for await (const item of read) found.push(item);
  return found;
};
const numbers = (found) => found.map((item) => Number((item.link ?? item.event).revision));
const deadline = setTimeout(() => fail("a step", new Error("nothing has happened for 120 s")), 120_000);

/** What a subscription has told, in order. */
class Told {
  constructor(subscription) {
    this.items = [];
    this.subscription = subscription;
    this.waiting = [];
    subscription.on("data", (item) => this.add(item));
    subscription.on("caughtUp", (info) => this.add({ caughtUp: info }));
    subscription.on("error", (error) => this.add({ error }));
    subscription.on("confirmation", () => this.add({ confirmation: true }));
  }
  add(item) {
    this.items.push(item);
    this.waiting.shift()?.();
  }
  async next() {
    while (this.items.length === 0) await new Promise((resolve) => this.waiting.push(resolve));
    return this.items.shift();
  }
  /** The events before it is live. */
  async untilCaughtUp() {
    const found = [];
    for (;;) {
      const item = await this.next();
      assert(!item.error, item.error);
      if (item.caughtUp) {
        assert(item.caughtUp.date instanceof Date);
        return found;
      }
      if (!item.confirmation) found.push(item);
    }
  }
  stop() {
    return this.subscription.unsubscribe();
  }
}

const steps = {
  async append() {
    const stream = `node-${randomUUID()}`;
    let done = await client.appendToStream(stream, event("Made", 0), { streamState: k.NO_STREAM });
    assert(done.success && done.nextExpectedRevision === 0n && done.position.commit === done.position.prepare);
    done = await client.appendToStream(stream, events("Made", 20), { streamState: 0n });
    assert.equal(done.nextExpectedRevision, 20n);
    done = await client.appendToStream(stream, event("Made", 0), { streamState: k.STREAM_EXISTS });
    assert.equal(done.nextExpectedRevision, 21n);
    const same = event("Made", 0);
    const once = await client.appendToStream(stream, same);
    assert.deepEqual(await client.appendToStream(stream, same), once);
    for (const streamState of [k.NO_STREAM, 3n, 99n]) {
      await assert.rejects(client.appendToStream(stream, event("Made", 1), { streamState }), (error) => {
        assert(error instanceof k.WrongExpectedVersionError, error);
        assert.equal(error.actualState ?? error.actualVersion, 22n);
        return true;
      });
    }
    await assert.rejects(
      client.appendToStream(`none-${randomUUID()}`, event("Made", 1), { streamState: k.STREAM_EXISTS }),
      k.WrongExpectedVersionError,
    );
    // With credentials the client takes the call for one append instead of the one for many.
    const credentials = { username: "default", password: "any" };
    done = await client.appendToStream(stream, event("Made", 1), { credentials });
    assert.equal(done.nextExpectedRevision, 23n);
    await assert.rejects(
      client.appendToStream(stream, event("Made", 1), { credentials, streamState: 3n }),
      k.WrongExpectedVersionError,
    );
    const binary = k.binaryEvent({ type: "Bytes", data: Buffer.from([0, 255, 1]) });
    await client.appendToStream(stream, binary);
    const [last] = await all(client.readStream(stream, { direction: k.BACKWARDS, fromRevision: k.END, maxCount: 1 }));
    assert(!last.event.isJson && Buffer.from(last.event.data).equals(Buffer.from([0, 255, 1])));
    assert.equal(last.event.id, binary.id);
  },

  async read() {
    const stream = `node-${randomUUID()}`;
    await client.appendToStream(stream, events("Read", 100));
    const range = (from, to, by = 1) => Array.from({ length: Math.abs(to - from) }, (_, n) => from + n * by);
    assert.deepEqual(numbers(await all(client.readStream(stream))), range(0, 100));
    const backwards = { direction: k.BACKWARDS, fromRevision: k.END };
    assert.deepEqual(numbers(await all(client.readStream(stream, backwards))), range(99, -1, -1));
    assert.deepEqual(numbers(await all(client.readStream(stream, { fromRevision: 90n, maxCount: 5 }))), range(90, 95));
    assert.deepEqual(numbers(await all(client.readStream(stream, { ...backwards, fromRevision: 3n }))), [3, 2, 1, 0]);
    const [first] = await all(client.readStream(stream, { maxCount: 1 }));
    assert.deepEqual([first.event.type, first.event.data, first.event.metadata], ["Read", { n: 0 }, { of: "node" }]);
    assert(Math.abs(first.event.created.valueOf() - Date.now()) < 3_600_000);
    await assert.rejects(all(client.readStream(`none-${randomUUID()}`)), k.StreamNotFoundError);
    const found = (await all(client.readAll())).filter((item) => item.event.streamId === stream);
    assert.equal(found.length, 100);
    const from = await all(client.readAll({ fromPosition: found[98].event.position }));
    assert.deepEqual(numbers(from.filter((item) => item.event.streamId === stream)), [98, 99]);
    const newest = await all(client.readAll({ direction: k.BACKWARDS, fromPosition: k.END, maxCount: 2 }));
    assert.deepEqual(numbers(newest), [99, 98]);
    const filter = k.streamNameFilter({ prefixes: [stream] });
    assert.deepEqual(numbers(await all(client.readAll({ filter, maxCount: 3 }))), [0, 1, 2]);
  },

  async links() {
    const [target, stream] = [`node-${randomUUID()}`, `node-links-${randomUUID()}`];
    await client.appendToStream(target, events("Made", 3));
    const link = (data) => k.binaryEvent({ type: "$>", data: Buffer.from(data) });
    await client.appendToStream(stream, [link(`2@${target}`), link(`9@${target}`), event("Between", 0)]);
    const shown = (items) => items.map((item) => [item.event ? Number(item.event.revision) : null, Boolean(item.link)]);
    const found = await all(client.readStream(stream, { resolveLinkTos: true }));
    assert.deepEqual(numbers(found), [0, 1, 2]);
    assert.deepEqual(shown(found), [[2, true], [null, true], [2, false]]);
    const told = new Told(client.subscribeToStream(stream, { resolveLinkTos: true }));
    assert.deepEqual(shown(await told.untilCaughtUp()), [[2, true], [null, true], [2, false]]);
    await client.appendToStream(stream, link(`1@${target}`));
    assert.deepEqual(shown([await told.next()]), [[1, true]]);
    await told.stop();
  },
  async delete() {
    const stream = `node-${randomUUID()}`;
    await assert.rejects(client.deleteStream(stream, { expectedRevision: 3n }), k.WrongExpectedVersionError);
    await client.appendToStream(stream, events("Gone", 3));
    await assert.rejects(client.deleteStream(stream, { expectedRevision: 1n }), k.WrongExpectedVersionError);
    assert((await client.deleteStream(stream, { expectedRevision: 2n })).position);
    await assert.rejects(all(client.readStream(stream)), k.StreamNotFoundError);
    assert.equal((await client.appendToStream(stream, event("Again", 0))).nextExpectedRevision, 3n);
    assert.deepEqual(numbers(await all(client.readStream(stream))), [3]);
    assert((await client.tombstoneStream(stream)).position);
    await assert.rejects(all(client.readStream(stream)), k.StreamDeletedError);
    await assert.rejects(client.appendToStream(stream, event("Again", 0)), k.StreamDeletedError);
    const credentials = { username: "default", password: "any" };
    await assert.rejects(client.appendToStream(stream, event("Again", 0), { credentials }), k.StreamDeletedError);
    await assert.rejects(client.deleteStream(stream), k.StreamDeletedError);
  },

  async metadata() {
    const stream = `node-${randomUUID()}`;
    assert.equal((await client.getStreamMetadata(stream)).metadata, undefined);
    await client.appendToStream(stream, events("Kept", 10));
    await client.setStreamMetadata(stream, { maxCount: 4, note: "mine" });
    const { metadata } = await client.getStreamMetadata(stream);
    assert.deepEqual([metadata.maxCount, metadata.note], [4, "mine"]);
    assert.deepEqual(numbers(await all(client.readStream(stream))), [6, 7, 8, 9]);
    await client.setStreamMetadata(stream, { truncateBefore: 8 }, { streamState: 0n });
    assert.deepEqual(numbers(await all(client.readStream(stream))), [8, 9]);
    await assert.rejects(
      client.setStreamMetadata(stream, {}, { streamState: 0n }),
      k.WrongExpectedVersionError,
    );
  },

  async subscriptions() {
    const stream = `node-${randomUUID()}`;
    await client.appendToStream(stream, events("Told", 50));
    let told = new Told(client.subscribeToStream(stream));
    assert.equal((await told.untilCaughtUp()).length, 50);
    await client.appendToStream(stream, events("Told", 2));
    assert.deepEqual(numbers([await told.next(), await told.next()]), [50, 51]);
    await told.stop();
    told = new Told(client.subscribeToStream(stream, { fromRevision: 49n }));
    assert.deepEqual(numbers(await told.untilCaughtUp()), [50, 51]);
    await told.stop();
    told = new Told(client.subscribeToStream(stream, { fromRevision: k.END }));
    assert.deepEqual(await told.untilCaughtUp(), []);
    await client.appendToStream(stream, event("Told", 0));
    assert.deepEqual(numbers([await told.next()]), [52]);
    // It is told that the stream ends.
    await client.tombstoneStream(stream);
    assert.equal((await told.next()).event.type, "$streamDeleted");
    assert((await told.next()).error instanceof k.StreamDeletedError);

    // A category ends at the first dash.
    const [one, two] = ["one", "two"].map((name) => name + randomUUID().replaceAll("-", ""));
    const position = (await client.appendToStream(`${one}-a`, events("Kind-A", 3))).position;
    await client.appendToStream(`${two}-a`, events(`Kind-${two}`, 4));
    told = new Told(client.subscribeToAll());
    assert((await told.untilCaughtUp()).filter((item) => item.event?.streamId.startsWith(one)).length === 3);
    await told.stop();
    told = new Told(client.subscribeToAll({ fromPosition: position }));
    assert.deepEqual((await told.untilCaughtUp()).map((item) => item.event.streamId), Array(4).fill(`${two}-a`));
    await told.stop();
    told = new Told(client.subscribeToAll({ fromPosition: k.END }));
    assert.deepEqual(await told.untilCaughtUp(), []);
    await client.appendToStream(`${one}-b`, event("Kind-B", 0));
    assert.equal((await told.next()).event.type, "Kind-B");
    await told.stop();
    for (const [filter, count] of [
      [k.streamNameFilter({ prefixes: [`${one}-`, `${two}-`] }), 8],
      [k.streamNameFilter({ regex: `^${one}` }), 4],
      [k.eventTypeFilter({ prefixes: [`Kind-${two}`] }), 4],
      [k.eventTypeFilter({ regex: `^Kind-${two}$|^Never` }), 4],
    ]) {
      told = new Told(client.subscribeToAll({ filter }));
      assert.equal((await told.untilCaughtUp()).length, count);
      await told.stop();
    }
    const checkpoints = [];
    const checkpointReached = (_, at) => void checkpoints.push(at.commit);
    const filter = k.excludeSystemEvents({ checkpointInterval: 2, maxSearchWindow: 5, checkpointReached });
    told = new Told(client.subscribeToAll({ filter }));
    const found = await told.untilCaughtUp();
    assert(found.length > 60 && found.every((item) => !item.event.type.startsWith("$")));
    assert(checkpoints.length >= 6 && checkpoints.every((at, n) => n === 0 || at > checkpoints[n - 1]), checkpoints);
    await told.stop();
    told = new Told(client.subscribeToStream(`$ce-${one}`, { resolveLinkTos: true }));
    const resolved = await told.untilCaughtUp();
    assert.deepEqual(resolved.map((item) => item.event.type), ["Kind-A", "Kind-A", "Kind-A", "Kind-B"]);
    assert(resolved.every((item) => item.link?.type === "$>"));
    await told.stop();
  },

  async many() {
    // Subscriptions at a time on one connection.
    const type = `Many-${randomUUID()}`;
    const told = Array.from({ length: 90 }, () => {
      const filter = k.eventTypeFilter({ prefixes: [type] });
      return new Told(client.subscribeToAll({ fromPosition: k.END, filter }));
    });
    for (const one of told) await one.untilCaughtUp();
    await client.appendToStream(`node-${randomUUID()}`, events(type, 2));
    for (const one of told) {
      const got = [];
      while (got.length < 2) {
        const item = await one.next();
        if (item.event) got.push(item.event.data.n);
      }
      assert.deepEqual(got, [0, 1]);
      await one.stop();
    }
    // Appends that do not wait for each other.
    const stream = `node-${randomUUID()}`;
    const done = await Promise.all(events("Pipelined", 3000).map((one) => client.appendToStream(stream, one)));
    assert.equal(new Set(done.map((one) => one.nextExpectedRevision)).size, 3000);
    // One that is as large as they get.
    const data = Buffer.alloc(1_000_000, 7);
    await client.appendToStream(`${stream}-large`, k.binaryEvent({ type: "Large", data }));
    const [large] = await all(client.readStream(`${stream}-large`));
    assert(Buffer.from(large.event.data).equals(data));
  },

  async persistent() {
    const stream = `node-${randomUUID()}`;
    const settings = k.persistentSubscriptionToStreamSettingsFromDefaults({ startFrom: k.START, maxRetryCount: 2 });
    await client.createPersistentSubscriptionToStream(stream, "g", settings);
    await assert.rejects(
      client.createPersistentSubscriptionToStream(stream, "g", settings),
      k.PersistentSubscriptionExistsError,
    );
    await client.appendToStream(stream, events("Made", 4));
    const reader = client.subscribeToPersistentSubscriptionToStream(stream, "g", { bufferSize: 2 });
    const got = [];
    for await (const item of reader) {
      got.push([item.event.data.n, item.retryCount]);
      if (item.event.data.n === 1 && item.retryCount === 0) await reader.nack(k.RETRY, "once more", item);
      else if (item.event.data.n === 2) await reader.nack(k.PARK, "not now", item);
      else await reader.ack(item);
      if (got.length === 5) break;
    }
    assert.deepEqual(got.sort(), [[0, 0], [1, 0], [1, 1], [2, 0], [3, 0]]);
    await reader.unsubscribe().catch(() => {});
    let info;
    do info = await client.getPersistentSubscriptionToStreamInfo(stream, "g");
    while (info.connections.length > 0 || info.stats.parkedMessageCount < 1n);
    assert.equal(info.stats.parkedMessageCount, 1n);
    assert.equal(info.settings.maxRetryCount, 2);
    assert.equal(info.eventSource, stream);
    await client.replayParkedMessagesToStream(stream, "g");
    const again = client.subscribeToPersistentSubscriptionToStream(stream, "g");
    for await (const item of again) {
      await again.ack(item);
      if (item.event.data.n === 2) break;
      // Others come again where their acknowledgements were lost as the first reader ended.
    }
    await again.unsubscribe().catch(() => {});
    // To all events of a type; links of a category, resolved.
    const type = `Kind${randomUUID().replaceAll("-", "")}`, category = `node${randomUUID().replaceAll("-", "")}`;
    await client.createPersistentSubscriptionToAll(
      category,
      k.persistentSubscriptionToAllSettingsFromDefaults({ startFrom: k.END }),
      { filter: k.eventTypeFilter({ prefixes: [type] }) },
    );
    await client.createPersistentSubscriptionToStream(
      `$ce-${category}`,
      "g",
      k.persistentSubscriptionToStreamSettingsFromDefaults({ startFrom: k.START, resolveLinkTos: true }),
    );
    await client.appendToStream(`${category}-1`, [...events("Other", 1), ...events(type, 2)]);
    for (const [reader, count] of [
      [client.subscribeToPersistentSubscriptionToAll(category), 2],
      [client.subscribeToPersistentSubscriptionToStream(`$ce-${category}`, "g"), 3],
    ]) {
      let seen = 0;
      for await (const item of reader) {
        assert.equal(item.event.streamId, `${category}-1`);
        assert.equal(Boolean(item.link), count === 3);
        await reader.ack(item);
        if (++seen === count) break;
      }
      await reader.unsubscribe().catch(() => {});
    }
    const listed = await client.listAllPersistentSubscriptions();
    assert(listed.some((one) => one.eventSource === "$all" && one.groupName === category));
    await client.updatePersistentSubscriptionToStream(
      stream,
      "g",
      k.persistentSubscriptionToStreamSettingsFromDefaults({ maxRetryCount: 7 }),
    );
    assert.equal((await client.getPersistentSubscriptionToStreamInfo(stream, "g")).settings.maxRetryCount, 7);
    await client.restartPersistentSubscriptionSubsystem();
    await client.deletePersistentSubscriptionToStream(stream, "g");
    await assert.rejects(
      client.getPersistentSubscriptionToStreamInfo(stream, "g"),
      k.PersistentSubscriptionDoesNotExistError,
    );
  },

  async unsupported() {
    await assert.rejects(client.listProjections(), /UNIMPLEMENTED/);
  },

  async together() {
    const [a, b, c] = [1, 2, 3].map(() => `node-${randomUUID()}`);
    const text = (n) => k.jsonEvent({ type: "Together", data: { n }, metadata: { of: "node" } });
    const part = (streamName, expectedState, count) =>
      ({ streamName, expectedState, events: Array.from({ length: count }, (_, n) => text(n)) });
    const done = await client.multiStreamAppend([part(a, k.NO_STREAM, 2), part(b, k.ANY, 1)]);
    assert.deepEqual(done.responses.map((one) => Number(one.revision)), [1, 0]);
    await assert.rejects(client.multiStreamAppend([part(a, 1n, 1), part(b, 7n, 1)]), k.WrongExpectedVersionError);
    assert.deepEqual(numbers(await all(client.readStream(a))), [0, 1]);
    const record = (streamName) => ({ streamName, record: text(9) });
    const check = (streamName, expectedState) => ({ type: k.STREAM_STATE, streamName, expectedState });
    await client.appendRecords([record(a), record(b), record(a)], [check(c, k.NO_STREAM), check(a, 1n)]);
    assert.deepEqual(numbers(await all(client.readStream(a))), [0, 1, 2, 3]);
    await assert.rejects(client.appendRecords([record(a)], [check(c, k.STREAM_EXISTS)]), k.AppendConsistencyViolationError);
    assert.equal((await all(client.readStream(a))).length, 4);
  },

  async tls() {
    const tls = k.KurrentDBClient.connectionString(process.env.CLIENT_KURRENTDB_TLS);
    const [mine, others] = [`app:${randomUUID()}`, `other-${randomUUID()}`];
    await tls.appendToStream(mine, event("Mine", 0));
    assert.equal((await all(tls.readStream(mine))).length, 1);
    await assert.rejects(tls.appendToStream(others, event("Mine", 0)), k.AccessDeniedError);
    // The credentials of a call go before those of the connection.
    const credentials = { username: "default", password: "secret" };
    await tls.appendToStream(others, event("Mine", 0), { credentials });
    assert.equal((await all(tls.readStream(others, { credentials }))).length, 1);
    await assert.rejects(all(tls.readStream(others)), k.AccessDeniedError);
    const wrong = { username: "anna", password: "wrong" };
    await assert.rejects(tls.appendToStream(mine, event("Mine", 1), { credentials: wrong }), /Unauthenticated|Access ?Denied/i);
    await tls.dispose();
    const stranger = k.KurrentDBClient.connectionString(process.env.CLIENT_KURRENTDB_OTHER);
    await assert.rejects(stranger.appendToStream(mine, event("Mine", 2)));
    await stranger.dispose();
  },

  async users() {
    const users = k.KurrentDBClient.connectionString(process.env.CLIENT_KURRENTDB_USERS);
    // Over plaintext this client sends no credentials but with reads.
    await assert.rejects(users.appendToStream("app:node", event("Mine", 0)), k.AccessDeniedError);
    await assert.rejects(all(users.readStream(`app:${randomUUID()}`)), k.StreamNotFoundError);
    await assert.rejects(all(users.readStream("other")), k.AccessDeniedError);
    await assert.rejects(all(users.readAll()), k.AccessDeniedError);
    await users.dispose();
  },
};

function fail(name, error) {
  console.error(`${name}: ${error?.stack ?? error}`);
  process.exit(1);
}

const wanted = process.argv.slice(2);
for (const [name, step] of Object.entries(steps)) {
  if (wanted.length && !wanted.includes(name)) continue;
  await step().catch((error) => fail(name, error));
}
clearTimeout(deadline);
await client.dispose();
console.log(`@kurrent/kurrentdb-client: ${Object.keys(steps).join(", ")}`);
process.exit(0);
