"""Persistent subscriptions: made, read, acknowledged and inspected, beside a Redis client that uses the same groups. GRPC and
RESP say where the server is."""

import json
import time
import uuid

import redis
from kurrentdbclient import KurrentDBClient, NewEvent, StreamState
from kurrentdbclient.exceptions import (
    AlreadyExistsError,
    InternalError,
    KurrentDBClientError,
    MaximumSubscriptionsReachedError,
    NotFoundError,
)

client = KurrentDBClient(GRPC)
cache = redis.Redis(port=RESP, protocol=2)


def append(stream, count, name="Happened", metadata=b""):
    events = [NewEvent(type=name, data=b"%d" % n, metadata=metadata) for n in range(count)]
    client.append_events(stream, current_version=StreamState.ANY, events=events)
    return events


def name(kind):
    return f"{kind}-{uuid.uuid4()}"


def take(subscription, count, done="ack"):
    """The next events, each acknowledged."""
    found = []
    for event in subscription:
        found.append(event)
        if done == "ack":
            subscription.ack(event)
        elif done:
            subscription.nack(event, action=done)
        if len(found) == count:
            break
    return found


def revisions(events):
    return [event.stream_position for event in events]


def eventually(what):
    for _ in range(200):
        if what():
            return
        time.sleep(0.05)
    assert what(), "it has not come to that"


def fails(error, call, *args, **named):
    try:
        call(*args, **named)
    except error as found:
        return found
    raise AssertionError(f"no {error.__name__}")


# From the start, what there is and what happens; acknowledged events do not come again.
stream = name("orders")
append(stream, 5)
client.create_subscription_to_stream("g", stream)
with client.read_subscription_to_stream("g", stream) as subscription:
    assert subscription.subscription_id == f"{stream}::g"
    assert revisions(take(subscription, 5)) == [0, 1, 2, 3, 4]
    append(stream, 5)
    found = take(subscription, 5)
    assert revisions(found) == [5, 6, 7, 8, 9]
    assert [event.retry_count for event in found] == [0] * 5
    eventually(lambda: client.get_subscription_info("g", stream).outstanding_messages_count == 0)
append(stream, 1)
with client.read_subscription_to_stream("g", stream) as subscription:
    assert revisions(take(subscription, 1)) == [10]
info = client.get_subscription_info("g", stream)
assert (info.event_source, info.group_name) == (stream, "g")
eventually(lambda: client.get_subscription_info("g", stream).last_checkpointed_event_position == "10")

# The same group for a Redis client, and the other way round.
append(stream, 2)
rows = cache.execute_command("CDC.GROUP", "READ", stream, "g", "worker", 10)
assert [row[3] for row in rows] == [b"0", b"1"]
assert cache.execute_command("CDC.ACK", stream, "g", *[row[0] for row in rows]) == 2
key = name("key")
cache.set(key, "one")
cache.execute_command("CDC.GROUP", "CREATE", key, "of-redis", "0")
cache.set(key, "two")
with client.read_subscription_to_stream("of-redis", key) as subscription:
    found = take(subscription, 2)
    assert [(event.type, event.data) for event in found] == [("Set", b"one"), ("Set", b"two")]
info = client.get_subscription_info("of-redis", key)
assert (info.event_source, info.consumer_strategy) == (key, "RoundRobin")
assert {(info.event_source, info.group_name) for info in client.list_subscriptions()} >= {(key, "of-redis"), (stream, "g")}

# From an event, from the end.
stream = name("starts")
append(stream, 10)
client.create_subscription_to_stream("from-7", stream, stream_position=7)
client.create_subscription_to_stream("from-end", stream, from_end=True)
append(stream, 2)
with client.read_subscription_to_stream("from-7", stream) as subscription:
    assert revisions(take(subscription, 5)) == [7, 8, 9, 10, 11]
with client.read_subscription_to_stream("from-end", stream) as subscription:
    assert revisions(take(subscription, 2)) == [10, 11]

# Not acknowledged: retried, with its count; parked; skipped; replayed.
stream = name("nacks")
append(stream, 4)
client.create_subscription_to_stream("g", stream, max_retry_count=2)
with client.read_subscription_to_stream("g", stream, max_ack_batch_size=1) as subscription:
    assert revisions(take(subscription, 1, "retry")) == [0]
    assert revisions(take(subscription, 3)) == [1, 2, 3]
    again = take(subscription, 2, "retry")
    assert [(event.stream_position, event.retry_count) for event in again] == [(0, 1), (0, 2)]
    eventually(lambda: client.get_subscription_info("g", stream).parked_message_count == 1)
    append(stream, 2)
    assert revisions(take(subscription, 1, "park")) == [4]
    assert revisions(take(subscription, 1, "skip")) == [5]
    eventually(lambda: client.get_subscription_info("g", stream).parked_message_count == 2)
    client.replay_parked_events("g", stream)
    replayed = take(subscription, 2)
    assert [(event.stream_position, event.retry_count) for event in replayed] == [(0, 0), (4, 0)]
    assert client.get_subscription_info("g", stream).parked_message_count == 0

# What a reader had when it left goes to the next one; and what it is silent about for too long.
stream = name("leaves")
append(stream, 2)
client.create_subscription_to_stream("g", stream, message_timeout=1)
with client.read_subscription_to_stream("g", stream) as subscription:
    assert revisions(take(subscription, 2, None)) == [0, 1]
with client.read_subscription_to_stream("g", stream) as subscription:
    found = take(subscription, 2, None)
    assert [(event.stream_position, event.retry_count) for event in found] == [(0, 1), (1, 1)]
    found = take(subscription, 2)
    assert [(event.stream_position, event.retry_count) for event in found] == [(0, 2), (1, 2)]

# Two readers in turn; no more than the buffer at a time.
stream = name("turns")
client.create_subscription_to_stream("g", stream, consumer_strategy="RoundRobin", max_subscriber_count=2)
one = client.read_subscription_to_stream("g", stream, event_buffer_size=3)
other = client.read_subscription_to_stream("g", stream, event_buffer_size=3)
eventually(lambda: len(client.get_subscription_info("g", stream).connections) == 2)
error = fails(MaximumSubscriptionsReachedError, client.read_subscription_to_stream, "g", stream)
append(stream, 10)
eventually(lambda: client.get_subscription_info("g", stream).total_in_flight_messages == 6)
info = client.get_subscription_info("g", stream)
assert [(c.in_flight_messages, c.available_slots) for c in info.connections] == [(3, 0), (3, 0)]
assert revisions(take(one, 3)) == [0, 2, 4] and revisions(take(other, 3)) == [1, 3, 5]
eventually(lambda: client.get_subscription_info("g", stream).total_in_flight_messages == 4)
held = [connection.in_flight_messages for connection in client.get_subscription_info("g", stream).connections]
rest = [take(reader, count) for reader, count in zip([one, other], held) if count]
assert sorted(revisions(sum(rest, []))) == [6, 7, 8, 9]
one.stop(), other.stop()

# Pinned: the events of a stream, or of a correlation, at one reader.
for strategy in ["Pinned", "PinnedByCorrelation"]:
    category = uuid.uuid4().hex
    client.create_subscription_to_stream("pins", f"$ce-{category}", resolve_links=True, consumer_strategy=strategy)
    readers = [client.read_subscription_to_stream("pins", f"$ce-{category}") for _ in range(3)]
    eventually(lambda: len(client.get_subscription_info("pins", f"$ce-{category}").connections) == 3)
    for n in range(41):
        correlation = json.dumps({"$correlationId": f"c{n % 7}"}).encode()
        append(f"{category}-{n % 9}", 1, metadata=correlation)
    owner = {}
    eventually(lambda: client.get_subscription_info("pins", f"$ce-{category}").total_in_flight_messages == 41)
    connections = client.get_subscription_info("pins", f"$ce-{category}").connections
    for number, (reader, connection) in enumerate(zip(readers, connections)):
        for event in take(reader, connection.in_flight_messages) if connection.in_flight_messages else []:
            pin = event.stream_name if strategy == "Pinned" else json.loads(event.metadata)["$correlationId"]
            assert owner.setdefault(pin, number) == number
            assert event.link is not None and event.link.stream_name == f"$ce-{category}"
    assert len(set(owner.values())) > 1, "all of it is at one reader"
    for reader in readers:
        reader.stop()

# All events, filtered.
kind = f"Kind{uuid.uuid4().hex}"
group = name("all")
client.create_subscription_to_all(group, filter_include=[kind], from_end=True)
append(name("a"), 3, kind), append(name("b"), 3), append(name("c"), 3, kind)
with client.read_subscription_to_all(group) as subscription:
    assert subscription.subscription_id == f"$all::{group}"
    assert [event.type for event in take(subscription, 6)] == [kind] * 6
eventually(lambda: client.get_subscription_info(group).last_checkpointed_event_position.startswith("C:"))
info = client.get_subscription_info(group)
assert (info.event_source, info.start_from) == ("$all", "C:-1/P:-1")
rows = cache.execute_command("CDC.GROUP", "READ", "*", group, "worker", 10)
assert rows == []
append(name("d"), 1, kind), append(name("e"), 1)
assert [row[2] for row in cache.execute_command("CDC.GROUP", "READ", "*", group, "worker", 10)] == [kind.encode()]
assert [info.group_name for info in client.list_subscriptions_to_stream("$all")].count(group) == 1

# `stop` is as `skip`, as with KurrentDB's server: the reader goes on, and the event does not come again.
stream = name("stopped")
append(stream, 6)
client.create_subscription_to_stream("g", stream, extra_statistics=True)
subscription = client.read_subscription_to_stream("g", stream, event_buffer_size=2, max_ack_batch_size=1)
assert revisions(take(subscription, 6, "stop")) == list(range(6))
eventually(lambda: client.get_subscription_info("g", stream).last_checkpointed_event_position == "5")
assert client.get_subscription_info("g", stream).parked_message_count == 0
# Where it is asked for, it is measured how long a reader takes for what it acknowledges.
append(stream, 4)
take(subscription, 4)
eventually(lambda: client.get_subscription_info("g", stream).last_checkpointed_event_position == "9")
measured = {row.key: row.value for row in client.get_subscription_info("g", stream).connections[0].observed_measurements}
assert len(measured) == 14 and 0 <= measured["Fastest"] <= measured["Median"] <= measured["Highest"] < 60_000, measured
subscription.stop()

# Changed, deleted: readers are told; settings are read as they were written.
stream = name("changes")
settings = dict(
    resolve_links=True,
    consumer_strategy="Pinned",
    message_timeout=7.0,
    max_retry_count=3,
    min_checkpoint_count=4,
    max_checkpoint_count=50,
    checkpoint_after=6.0,
    max_subscriber_count=8,
    live_buffer_size=70,
    read_batch_size=9,
    history_buffer_size=90,
    extra_statistics=True,
)
client.create_subscription_to_stream("g", stream)
subscription = client.read_subscription_to_stream("g", stream)
client.update_subscription_to_stream("g", stream, **settings)
fails(KurrentDBClientError, next, subscription)
subscription.stop()
info = client.get_subscription_info("g", stream)
assert (info.message_timeout, info.max_retry_count, info.max_subscriber_count) == (7.0, 3, 8), info
assert (info.consumer_strategy, info.live_buffer_size, info.resolve_links) == ("Pinned", 70, True), info
subscription = client.read_subscription_to_stream("g", stream)
client.delete_subscription("g", stream)
fails(KurrentDBClientError, next, subscription)
subscription.stop()

# Errors.
fails(NotFoundError, client.read_subscription_to_stream, "g", stream)
fails(NotFoundError, client.get_subscription_info, "g", stream)
fails(NotFoundError, client.delete_subscription, "g", stream)
fails(NotFoundError, client.update_subscription_to_stream, "g", stream)
fails(NotFoundError, client.replay_parked_events, "g", stream)
assert client.list_subscriptions_to_stream(stream) == []
client.create_subscription_to_stream("g", stream)
fails(AlreadyExistsError, client.create_subscription_to_stream, "g", stream)
fails(InternalError, client.create_subscription_to_stream, "h", stream, consumer_strategy="Nobodys")
fails(InternalError, client.create_subscription_to_stream, "h", stream, read_batch_size=500, history_buffer_size=500)
fails(InternalError, client.create_subscription_to_all, name("far"), commit_position=1 << 52)

# Destroyed by a Redis client: the reader is told.
subscription = client.read_subscription_to_stream("g", stream)
assert cache.execute_command("CDC.GROUP", "DESTROY", stream, "g") == 1
fails(KurrentDBClientError, next, subscription)
subscription.stop()

# What the stream's metadata hides is not read.
stream = name("hidden")
append(stream, 5)
client.set_stream_metadata(stream, metadata={"$tb": 3}, current_version=StreamState.ANY)
client.create_subscription_to_stream("g", stream)
with client.read_subscription_to_stream("g", stream) as subscription:
    assert revisions(take(subscription, 2)) == [3, 4]
print("ok")
# At the end of the interpreter nothing would wait for the calls that are under way.
client.close()
