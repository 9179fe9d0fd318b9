"""Appends, reads, deletes and metadata. GRPC and RESP say where the server is."""

import uuid

import redis
from kurrentdbclient import KurrentDBClient, NewEvent, StreamState
from kurrentdbclient.exceptions import FailedPreconditionError, NotFoundError, StreamIsDeletedError, WrongCurrentVersionError

client = KurrentDBClient(GRPC)
cache = redis.Redis(port=RESP, protocol=2)


def refused(kind, call):
    try:
        call()
    except kind:
        return
    raise AssertionError(f"{kind} was expected")


def event(number, **more):
    return NewEvent(type="Numbered", data=b"%d" % number, content_type="application/octet-stream", **more)


def numbers(stream, **options):
    return [int(e.data) for e in client.get_stream(stream, **options)]


for count in (1, 2, 40, 700):
    stream = f"numbers-{count}-{uuid.uuid4()}"
    refused(NotFoundError, lambda: client.get_stream(stream))
    first = client.append_event(stream, current_version=StreamState.NO_STREAM, event=event(0))
    last = client.append_events(stream, current_version=0, events=[event(n) for n in range(1, count)]) if count > 1 else first
    assert numbers(stream) == list(range(count))
    assert numbers(stream, backwards=True) == list(reversed(range(count)))
    assert numbers(stream, stream_position=count // 2) == list(range(count // 2, count))
    assert numbers(stream, stream_position=count // 2, backwards=True) == list(reversed(range(count // 2 + 1)))
    assert numbers(stream, limit=1) == [0] and numbers(stream, limit=1, backwards=True) == [count - 1]
    events = client.get_stream(stream)
    assert [e.stream_position for e in events] == list(range(count))
    assert events[0].commit_position == first and events[-1].commit_position == last
    assert [e.commit_position for e in events] == sorted({e.commit_position for e in events})
    assert client.get_current_version(stream) == count - 1

# Metadata, data and ids come back as they were given.
stream, key = f"whole-{uuid.uuid4()}", uuid.uuid4()
client.append_event(
    stream,
    current_version=StreamState.NO_STREAM,
    event=NewEvent(id=key, type="Whole", data=b'{"a":1}', metadata=b"m\x00", content_type="application/json"),
)
(whole,) = client.get_stream(stream)
assert (whole.id, whole.type, whole.data, whole.metadata, whole.content_type) == (
    key,
    "Whole",
    b'{"a":1}',
    b"m\x00",
    "application/json",
)

# An append that is repeated is not appended again; another one at the same place is refused.
again = NewEvent(type="Once", data=b"")
position = client.append_event(stream, current_version=0, event=again)
assert client.append_event(stream, current_version=0, event=again) == position
assert client.append_event(stream, current_version=StreamState.ANY, event=again) == position
refused(WrongCurrentVersionError, lambda: client.append_event(stream, current_version=0, event=event(9)))
refused(WrongCurrentVersionError, lambda: client.append_events(stream, current_version=7, events=[event(9)]))
refused(WrongCurrentVersionError, lambda: client.append_event(stream, current_version=StreamState.NO_STREAM, event=event(9)))
assert len(client.get_stream(stream)) == 2

# Metadata limits what is read; a deleted stream goes on; an ended one does not.
stream = f"limited-{uuid.uuid4()}"
client.append_events(stream, current_version=StreamState.NO_STREAM, events=[event(n) for n in range(10)])
assert client.get_stream_metadata(stream) == ({}, StreamState.NO_STREAM)
client.set_stream_metadata(stream, metadata={"$maxCount": 3, "mine": "x"})
assert client.get_stream_metadata(stream) == ({"$maxCount": 3, "mine": "x"}, 0)
assert numbers(stream) == [7, 8, 9] and numbers(stream, backwards=True) == [9, 8, 7]
client.set_stream_metadata(stream, metadata={"$tb": 8}, current_version=0)
assert numbers(stream) == [8, 9]
client.delete_stream(stream, current_version=9)
refused(NotFoundError, lambda: client.get_stream(stream))
client.append_event(stream, current_version=StreamState.NO_STREAM, event=event(10))
assert numbers(stream) == [10] and client.get_current_version(stream) == 10
client.tombstone_stream(stream, current_version=10)
refused(StreamIsDeletedError, lambda: client.get_stream(stream))
refused(StreamIsDeletedError, lambda: list(client.subscribe_to_stream(stream)))
refused(NotFoundError, lambda: client.delete_stream(f"never-{uuid.uuid4()}", current_version=StreamState.ANY))

# A Redis client begins a deleted stream again, or an ended one.
stream = f"again-{uuid.uuid4()}"
cache.set(stream, 1)
client.delete_stream(stream, current_version=0)
refused(NotFoundError, lambda: client.get_stream(stream))
cache.set(stream, 2)
cache.set(stream, 3)
assert numbers(stream) == [2, 3]
client.append_event(stream, current_version=2, event=event(4))
assert [e.stream_position for e in client.get_stream(stream)] == [1, 2, 3]
client.tombstone_stream(stream, current_version=3)
cache.set(stream, 5)
with client.subscribe_to_stream(stream) as subscription:
    assert [next(subscription).type for _ in range(5)] == ["Set", "Set", "Numbered", "$streamDeleted", "Set"]

# A stream of links, from its first link on.
category = uuid.uuid4().hex
client.append_events(f"{category}-1", current_version=StreamState.ANY, events=[event(0), event(1)])
assert len(client.get_stream(f"$ce-{category}", stream_position=0)) == 2

# What a Redis client writes is there too, and the other way round.
key = f"user:{uuid.uuid4()}"
cache.set(key, "Ann")
cache.hset(key + "h", "name", "Ann")
(is_set,) = client.get_stream(key)
assert (is_set.type, is_set.data, is_set.stream_name) == ("Set", b"Ann", key)
(is_set,) = client.get_stream(key + "h")
assert (is_set.type, is_set.data, is_set.metadata) == ("HSet", b"Ann", b'{"field":"name"}')
client.append_event(key, current_version=0, event=NewEvent(type="Seen", data=b"by nobody"))
rows = cache.execute_command("CDC.READ", 0, "MATCH", key)
assert cache.get(key) == b"Ann" and [row[2] for row in rows[rows.index(b"events") + 1]] == [b"SET", b"Seen"]

# All events, both ways, filtered or not.
everything = [e.commit_position for e in client.read_all(filter_exclude=[])]
assert len(everything) > 750 and everything == sorted(set(everything))
assert [e.commit_position for e in client.read_all(filter_exclude=[], backwards=True)] == everything[::-1]
middle = everything[len(everything) // 2]
assert [e.commit_position for e in client.read_all(commit_position=middle, filter_exclude=[])] == everything[len(everything) // 2 :]
assert [e.commit_position for e in client.read_all(commit_position=middle, filter_exclude=[], backwards=True)] == (
    everything[: len(everything) // 2][::-1]
)
assert len(list(client.read_all(limit=5))) == 5
assert {e.type for e in client.read_all()} == {"Numbered", "Whole", "Once", "Set", "HSet", "Seen"}, "no system events"
assert {e.type for e in client.read_all(filter_include=["Set", "H.*"])} == {"Set", "HSet"}
assert {e.stream_name for e in client.read_all(filter_include=[key], filter_by_stream_name=True)} == {key}
assert client.get_commit_position() == everything[-1]

# More than a connection's output holds.
stream = f"large-{uuid.uuid4()}"
large = [NewEvent(type="Large", data=b"x" * 10_000) for _ in range(100)]
client.append_events(stream, current_version=StreamState.ANY, events=large)
assert [len(e.data) for e in client.get_stream(stream)] == [10_000] * 100
assert len(list(client.read_all(filter_include=["Large"]))) == 100
assert len(list(client.read_all(filter_include=["Large"], backwards=True))) == 100

# What retention has taken is not skipped without a word.
stream = f"gone-{uuid.uuid4()}"
for _ in range(20):
    with cache.pipeline(transaction=False) as pipeline:
        for n in range(10_000):
            pipeline.set(stream, n)
        pipeline.execute()
for position in (0, 5, 100_000):
    refused(FailedPreconditionError, lambda: client.get_stream(stream, stream_position=position, limit=3))
refused(FailedPreconditionError, lambda: client.get_stream(stream, stream_position=5, limit=3, backwards=True))
assert client.get_stream(stream, stream_position=199_990)[0].stream_position == 199_990
assert client.get_stream(stream, limit=3)[0].stream_position > 100_000

# At the end of the interpreter nothing would wait for the calls that are under way.
client.close()
