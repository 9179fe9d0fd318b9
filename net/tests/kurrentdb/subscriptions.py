"""Subscriptions: from any point to what happens, filtered, with checkpoints. GRPC and RESP say where the server is."""

import uuid

import redis
from kurrentdbclient import CaughtUp, Checkpoint, KurrentDBClient, NewEvent, StreamState

client = KurrentDBClient(GRPC)
cache = redis.Redis(port=RESP, protocol=2)


def append(stream, count, name="Happened"):
    events = [NewEvent(type=name, data=b"%d" % n) for n in range(count)]
    return client.append_events(stream, current_version=StreamState.ANY, events=events)


def until_caught_up(subscription):
    found = []
    for item in subscription:
        if isinstance(item, CaughtUp):
            return found
        found.append(item)


def revisions(events):
    return [e.stream_position for e in events]


# One stream, from the start, from an event, from the end.
stream = f"happens-{uuid.uuid4()}"
append(stream, 100)
with client.subscribe_to_stream(stream, include_caught_up=True) as subscription:
    assert revisions(until_caught_up(subscription)) == list(range(100))
    append(stream, 50)
    assert revisions(next(subscription) for _ in range(50)) == list(range(100, 150))
with client.subscribe_to_stream(stream, stream_position=147, include_caught_up=True) as subscription:
    assert revisions(until_caught_up(subscription)) == [148, 149]
with client.subscribe_to_stream(stream, from_end=True, include_caught_up=True) as subscription:
    assert until_caught_up(subscription) == []
    append(stream, 1)
    assert next(subscription).stream_position == 150
# A stream that is not there yet.
stream = f"later-{uuid.uuid4()}"
with client.subscribe_to_stream(stream, include_caught_up=True) as subscription:
    assert until_caught_up(subscription) == []
    cache.set(stream, "x")
    event = next(subscription)
    assert (event.type, event.data, event.stream_position) == ("Set", b"x", 0)

# All events, filtered by type, by stream, by what is not wanted.
names = [f"Kind{n}-{uuid.uuid4().hex}" for n in range(3)]
stream = f"kinds-{uuid.uuid4()}"
for name in names:
    append(stream, 3, name)
with client.subscribe_to_all(filter_include=[names[1]], include_caught_up=True) as subscription:
    found = until_caught_up(subscription)
    assert [e.type for e in found] == [names[1]] * 3
    append(stream, 1, names[0])
    append(stream, 1, names[1])
    assert next(subscription).type == names[1]
with client.subscribe_to_all(
    filter_include=["kinds-.*"], filter_by_stream_name=True, commit_position=found[-1].commit_position, include_caught_up=True
) as subscription:
    assert [e.type for e in until_caught_up(subscription)] == [names[2]] * 3 + [names[0], names[1]]
with client.subscribe_to_all(filter_exclude=["Happened", "Set", names[0]], include_caught_up=True) as subscription:
    assert {e.type for e in until_caught_up(subscription)} == {names[1], names[2]}
    append(stream, 1, names[0])
    append(stream, 1, names[2])
    assert next(subscription).type == names[2]

# Checkpoints: increasing, never below an event before them, and one before it has caught up.
with client.subscribe_to_all(
    filter_include=[names[2]], include_checkpoints=True, include_caught_up=True, window_size=5, checkpoint_interval_multiplier=2
) as subscription:
    found = until_caught_up(subscription)
    positions = [item.commit_position for item in found]
    assert positions == sorted(positions) and isinstance(found[-1], Checkpoint)
    assert sum(isinstance(item, Checkpoint) for item in found) >= 10
    append(f"other-{uuid.uuid4()}", 100)
    item = next(subscription)
    assert isinstance(item, Checkpoint) and item.commit_position > positions[-1]

# Categories and types are streams of links.
category = uuid.uuid4().hex
for n in range(3):
    append(f"{category}-{n}", 2)
links = client.get_stream(f"$ce-{category}")
assert [e.type for e in links] == ["$>"] * 6
resolved = client.get_stream(f"$ce-{category}", resolve_links=True)
assert [e.stream_name for e in resolved] == [f"{category}-{n // 2}" for n in range(6)]
with client.subscribe_to_stream(f"$ce-{category}", resolve_links=True, include_caught_up=True) as subscription:
    assert [e.data for e in until_caught_up(subscription)] == [b"0", b"1"] * 3
    append(f"{category}-0", 1)
    assert next(subscription).stream_name == f"{category}-0"

# Many at a time on one connection.
many = [client.subscribe_to_all(from_end=True, filter_include=[names[n % 3]], include_caught_up=True) for n in range(100)]
for subscription in many:
    assert until_caught_up(subscription) == []
for name in names:
    append(stream, 2, name)
for n, subscription in enumerate(many):
    assert [next(subscription).type for _ in range(2)] == [names[n % 3]] * 2
    subscription.stop()

# Those of a client that stands still for a while get all the same events when it goes on.
late = f"late-{uuid.uuid4()}"
many = [client.subscribe_to_all(from_end=True, filter_include=["late-.*"], filter_by_stream_name=True) for _ in range(20)]
with client.subscribe_to_all(from_end=True, include_caught_up=True) as subscription:
    until_caught_up(subscription)
with cache.pipeline(transaction=False) as pipeline:
    for n in range(750):
        pipeline.set(late, b"%d" % n + b"x" * 4_000)
    pipeline.execute()
for subscription in many:
    assert [int(next(subscription).data.rstrip(b"x")) for _ in range(750)] == list(range(750))
    subscription.stop()

# At the end of the interpreter nothing would wait for the calls that are under way.
client.close()
