"""Appends to several streams together. GRPC and RESP say where the server is."""

import uuid

import redis
from kurrentdbclient import KurrentDBClient, NewEvent, StreamState
from kurrentdbclient.events import NewEvents, NewRecord, StreamStateCheck
from kurrentdbclient.exceptions import (
    ConsistencyChecksFailedError,
    KurrentDBClientError,
    MultiAppendToSameStreamError,
    NotFoundError,
    StreamTombstonedError,
    TransactionMaxSizeExceededError,
    WrongCurrentVersionError,
)

client = KurrentDBClient(GRPC)
cache = redis.Redis(port=RESP, protocol=2)
NONE, ANY, EXISTS = StreamState.NO_STREAM, StreamState.ANY, StreamState.EXISTS


def refused(kind, call):
    try:
        call()
    except kind as error:
        return error
    raise AssertionError(f"{kind} was expected")


def session(*parts):
    return client.multi_append_to_stream([NewEvents(name, events, version) for name, version, events in parts])


def events(count):
    return [NewEvent(type="Numbered", data=b"%d" % n, content_type="application/octet-stream") for n in range(count)]


def names(count):
    return [f"many-{uuid.uuid4()}" for _ in range(count)]


# Streams of all shards; what is appended is one transaction in the order of all events.
streams = names(12)
position = session(*[(name, NONE, events(3)) for name in streams])
everything = [e for e in client.read_all() if e.stream_name in streams]
assert [(e.stream_name, int(e.data)) for e in everything] == [(name, n) for name in streams for n in range(3)]
assert everything[-1].commit_position == position
assert [e.stream_position for e in client.get_stream(streams[5])] == [0, 1, 2]

# One that is not as expected: nothing is appended to any.
error = refused(WrongCurrentVersionError, lambda: session((streams[0], 2, events(1)), (streams[1], 7, events(1)), (streams[2], ANY, events(1))))
assert (error.stream_name, error.actual_version, error.expected_version) == (streams[1], 2, 7), vars(error)
assert "conflict on stream" in str(error), error
assert all(len(client.get_stream(name)) == 3 for name in streams)

# A repetition has the first answer, a part of one is refused.
ours, theirs = events(2), events(2)
a, b = names(2)
first = session((a, NONE, ours), (b, ANY, theirs))
assert session((a, NONE, ours), (b, ANY, theirs)) == first
assert session((a, ANY, ours)) < first
refused(WrongCurrentVersionError, lambda: session((a, NONE, ours), (names(1)[0], NONE, events(1))))
assert len(client.get_stream(a)) == len(client.get_stream(b)) == 2

# Metadata is the properties with the schema.
(name,) = names(1)
session((name, NONE, [NewEvent(type="Whole", data=b"{}", metadata=b'{"by":"anna"}')]))
(whole,) = client.get_stream(name)
assert (whole.type, whole.data, whole.content_type) == ("Whole", b"{}", "application/json")
assert whole.metadata == b'{"$schema.format":"Json","$schema.name":"Whole","by":"anna"}', whole.metadata

assert refused(MultiAppendToSameStreamError, lambda: session((name, ANY, events(1)), (name, ANY, events(1)))).stream_name == name
assert "no append requests" in str(refused(KurrentDBClientError, lambda: session()))
for wrong in ("", "$all", "$ce-x"):
    assert refused(KurrentDBClientError, lambda: session((wrong, ANY, events(1))))
assert "reserved" in str(refused(KurrentDBClientError, lambda: session((name, ANY, [NewEvent(type="Set", data=b"")]))))
large = [NewEvent(type="Large", data=b"x" * 1_000_000) for _ in range(4)]
assert refused(TransactionMaxSizeExceededError, lambda: session((name, ANY, large), (a, ANY, events(1)))).size > 3_000_000
assert len(client.get_stream(a)) == 2


def records(*parts):
    return [NewRecord(stream_name=name, type="Numbered", data=b"%d" % n) for name, n in parts]


# Events of several streams in turn keep their order; streams are checked that get no event.
a, b, c, missing = names(4)
done = client.append_records(records((a, 1), (b, 2), (a, 3), (c, 4), (b, 5)), [StreamStateCheck(missing, NONE)])
assert {s.stream_name: s.stream_position for s in done.stream_positions} == {a: 1, b: 1, c: 0}
found = [e for e in client.read_all() if e.stream_name in (a, b, c)]
assert [int(e.data) for e in found] == [1, 2, 3, 4, 5] and found[-1].commit_position == done.commit_position
refused(NotFoundError, lambda: client.get_stream(missing))

# All checks that fail are named by their places.
checks = [StreamStateCheck(a, 1), StreamStateCheck(missing, EXISTS), StreamStateCheck(b, 0), StreamStateCheck(c, NONE)]
error = refused(ConsistencyChecksFailedError, lambda: client.append_records(records((a, 9), (b, 9)), checks))
states = [(f.check_index, f.stream_state_failure.stream_name, f.stream_state_failure.actual_state) for f in error.failures]
assert states == [(1, missing, -1), (2, b, 1), (3, c, 0)], states
assert f" - {missing}: Expected State: StreamExists. Actual State: NoStream." in str(error), error
assert len(client.get_stream(a)) == 2
assert client.append_records(records((a, 6)), checks[:1]).stream_positions[0].stream_position == 2
assert "more than one check" in str(refused(KurrentDBClientError, lambda: client.append_records(records((a, 6)), checks[:1] * 2)))

# Very many streams would take long.
too_many = [StreamStateCheck(f"{a}-{n}", NONE) for n in range(5_000)]
assert "more than 4096 streams" in str(refused(KurrentDBClientError, lambda: client.append_records(records((a, 6)), too_many)))
assert len(client.get_stream(a)) == 3

# Deleted streams go on, ended ones do not.
client.delete_stream(a, current_version=2)
assert client.append_records(records((a, 7)), [StreamStateCheck(a, NONE)]).stream_positions[0].stream_position == 3
assert [e.stream_position for e in client.get_stream(a)] == [3]
client.tombstone_stream(b, current_version=1)
assert refused(StreamTombstonedError, lambda: session((c, ANY, events(1)), (b, ANY, events(1)))).stream_name == b
refused(StreamTombstonedError, lambda: client.append_records(records((c, 1), (b, 1))))
error = refused(ConsistencyChecksFailedError, lambda: client.append_records(records((c, 1)), [StreamStateCheck(b, ANY)]))
assert error.failures[0].stream_state_failure.actual_state == -6
assert len(client.get_stream(c)) == 1

# Beside the other version, and for Redis clients.
client.append_event(c, current_version=0, event=NewEvent(type="Numbered", data=b"10"))
rows = cache.execute_command("CDC.READ", 0, "MATCH", c)
assert [row[4] if len(row) < 4 else row[3] for row in rows[rows.index(b"events") + 1]] == [b"4", b"10"], rows
client.close()
