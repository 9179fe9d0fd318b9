"""Links that clients have written: resolved in reads, in subscriptions, and for readers of groups. GRPC and RESP say where the
server is."""

import queue
import uuid

import grpc
import redis
from kurrentdbclient import KurrentDBClient, NewEvent, StreamState
from kurrentdbclient.protos.v1 import persistent_pb2, persistent_pb2_grpc, shared_pb2, streams_pb2, streams_pb2_grpc

client = KurrentDBClient(GRPC)
cache = redis.Redis(port=RESP, protocol=2)
channel = grpc.insecure_channel(GRPC.removeprefix("kurrentdb://").split("?")[0])
streams = streams_pb2_grpc.StreamsStub(channel)
TEXT = streams_pb2.ReadReq.Options.UUIDOption(string=shared_pb2.Empty())
NUMBERS = streams_pb2.ReadReq.Options.UUIDOption(structured=shared_pb2.Empty())
EMPTY = shared_pb2.Empty()


def name(kind):
    return f"{kind}-{uuid.uuid4().hex}"


def append(stream, *data, type="Happened"):
    events = [NewEvent(type=type, data=each.encode(), content_type="application/octet-stream") for each in data]
    client.append_events(stream, current_version=StreamState.ANY, events=events)


def link(stream, *data):
    append(stream, *data, type="$>")


def shown(part):
    """An event in short; none where there is none."""
    return (part.stream_identifier.stream_name.decode(), part.stream_revision, part.data.decode()) if part.id.string else None


def request(stream=None, resolve=True, backwards=False, count=2**40, subscribe=False, begin="start", ids=TEXT):
    named = shared_pb2.StreamIdentifier(stream_name=stream.encode()) if stream else None
    begins = {begin: EMPTY}
    options = streams_pb2.ReadReq.Options(
        resolve_links=resolve, read_direction=int(backwards), no_filter=EMPTY, uuid_option=ids
    )
    if stream:
        options.stream.CopyFrom(streams_pb2.ReadReq.Options.StreamOptions(stream_identifier=named, **begins))
    else:
        options.all.CopyFrom(streams_pb2.ReadReq.Options.AllOptions(**begins))
    if subscribe:
        options.subscription.CopyFrom(streams_pb2.ReadReq.Options.SubscriptionOptions())
    else:
        options.count = count
    return streams_pb2.ReadReq(options=options)


def read(stream=None, **options):
    """Events with their links, in short, from the wire: this client leaves out a link without an event."""
    answers = streams.Read(request(stream, **options))
    return [(shown(a.event.event), shown(a.event.link)) for a in answers if a.HasField("event")]


# Events of several streams, most of them on other shards, linked in any order and more than once.
targets = [name("target") for _ in range(7)]
for stream in targets:
    append(stream, *(f"{stream} {n}" for n in range(5)))
links = name("links")
wanted = [(targets[n % 7], n * 3 % 5) for n in range(100)]
link(links, *(f"{revision}@{stream}" for stream, revision in wanted))
found = read(links)
assert found == [
    ((stream, revision, f"{stream} {revision}"), (links, n, f"{revision}@{stream}"))
    for n, (stream, revision) in enumerate(wanted)
]
assert read(links, backwards=True, begin="end") == found[::-1]
assert read(links, count=3) == found[:3]
assert read(links, backwards=True, begin="end", count=3) == found[:-4:-1]
assert read(links, resolve=False) == [(link_, None) for _, link_ in found]
# The client sees the event, and the link beside it.
event = client.get_stream(links, resolve_links=True, limit=1)[0]
assert (event.stream_name, event.type, event.link.type, event.link.stream_name) == (targets[0], "Happened", "$>", links)
assert event.commit_position < event.link.commit_position
# All events, forwards and backwards: links are resolved, others are as they are.
everything = read()
assert [pair for pair in everything if pair[1]] == found and len(everything) == 135
assert read(backwards=True, begin="end") == everything[::-1]

# What is not there: not yet, cut off, too many, deleted, ended; of no stream, of a computed one, of itself.
gone = name("gone")
append(gone, "a", "b", "c")
odd = name("odd")
data = [
    f"0@{gone}", f"2@{gone}", f"3@{gone}", f"0@{name('nothing')}", "0@$all", "0@$streams", f"0@$ce-target", "0@$db",
    f"-1@{gone}", "7", "7@", f"5@{odd}", f"0@{odd}", f"99@{odd}", f"1@$${gone}", "0@" + "x" * 70_000,
]  # fmt: skip
link(odd, *data)
links_alone = [(None, (odd, n, text)) for n, text in enumerate(data)]
expected = list(links_alone)
expected[0] = ((gone, 0, "a"), links_alone[0][1])
expected[1] = ((gone, 2, "c"), links_alone[1][1])
# A link to a link, and one to itself, come with that link as it is.
expected[11] = ((odd, 5, data[5]), links_alone[11][1])
expected[12] = ((odd, 0, data[0]), links_alone[12][1])
assert read(odd) == expected, read(odd)
# What does not begin with a number is an event like any other.
wrong = name("wrong")
link(wrong, "", "x@y", "@y")
append(wrong, "0@x")
assert read(wrong) == [((wrong, n, text), None) for n, text in enumerate(["", "x@y", "@y", "0@x"])]
# Two that point to each other.
here, there = name("here"), name("there")
link(here, f"0@{there}")
link(there, f"0@{here}")
assert read(here) == [((there, 0, f"0@{here}"), (here, 0, f"0@{there}"))]

client.set_stream_metadata(gone, metadata={"$tb": 1}, current_version=StreamState.ANY)
expected[0] = links_alone[0]
expected[14] = links_alone[14]
assert read(odd)[:2] == expected[:2]
client.set_stream_metadata(gone, metadata={"$maxCount": 1}, current_version=StreamState.ANY)
assert read(odd)[:2] == expected[:2]
client.delete_stream(gone, current_version=StreamState.ANY)
expected[1] = links_alone[1]
assert read(odd)[:2] == expected[:2]
append(gone, "d")
assert read(odd)[:3] == [*expected[:2], ((gone, 3, "d"), links_alone[2][1])]
client.tombstone_stream(gone, current_version=StreamState.ANY)
assert read(odd) == [pair for pair in [*links_alone[:11], *expected[11:]]]

# A long stream, linked from its end to its begin, and the other way.
long, ways = name("long"), name("ways")
for n in range(6):
    append(long, *(str(n * 500 + m) for m in range(500)))
order = [*range(2_999, -1, -7), *range(0, 3_000, 11), 2_999, 0, 1_500]
link(ways, *(f"{n}@{long}" for n in order))
assert [event for event, _ in read(ways)] == [(long, n, str(n)) for n in order]

# A Redis client's key: each change is an event.
key = name("key")
cache.set(key, "one"), cache.set(key, "two")
links_to_key = name("links")
link(links_to_key, f"1@{key}")
assert read(links_to_key)[0][0] == (key, 1, "two")


# Subscriptions: what there is, what happens, each in its order.
def subscribe(stream=None, **options):
    call = streams.Read(request(stream, subscribe=True, **options))
    assert next(call).HasField("confirmation")
    return call


def take(call, count):
    answers = (next(call) for _ in range(count))
    return [(shown(a.event.event), shown(a.event.link)) if a.HasField("event") else a.WhichOneof("content") for a in answers]


live = name("live")
link(live, f"0@{targets[0]}", f"9@{targets[0]}")
append(live, "between")
link(live, f"1@{targets[1]}")
before = [
    ((targets[0], 0, f"{targets[0]} 0"), (live, 0, f"0@{targets[0]}")),
    (None, (live, 1, f"9@{targets[0]}")),
    ((live, 2, "between"), None),
    ((targets[1], 1, f"{targets[1]} 1"), (live, 3, f"1@{targets[1]}")),
]
one, everything, newest = subscribe(live), subscribe(begin="end"), subscribe(live, begin="end")
assert take(one, 5) == [*before, "caught_up"]
assert take(everything, 1) == ["caught_up"] and take(newest, 1) == ["caught_up"]
append(live, "live")
for n in range(200):
    link(live, f"{n % 5}@{targets[n % 7]}")
append(live, "last")
after = [
    ((live, 4, "live"), None),
    *(
        (
            (targets[n % 7], n % 5, f"{targets[n % 7]} {n % 5}"),
            (live, 5 + n, f"{n % 5}@{targets[n % 7]}"),
        )
        for n in range(200)
    ),
    ((live, 205, "last"), None),
]
for call in [one, everything, newest]:
    assert take(call, 202) == after
    call.cancel()
# The end of a stream comes behind its links.
call = subscribe(live, begin="end")
take(call, 1)
link(live, f"0@{targets[0]}")
client.tombstone_stream(live, current_version=StreamState.ANY)
assert take(call, 2)[0] == ((targets[0], 0, f"{targets[0]} 0"), (live, 206, f"0@{targets[0]}"))
try:
    next(call)
    raise AssertionError("it goes on")
except grpc.RpcError as error:
    assert error.code() == grpc.StatusCode.FAILED_PRECONDITION, error


# Many that get the same events together: each in its own form of ids, and from where it started.
alike = name("alike")
append(alike, "before")
forms = [TEXT, NUMBERS, TEXT, NUMBERS, TEXT]
calls = [subscribe(alike, ids=form) for form in forms] + [subscribe(alike, begin="end", ids=form) for form in forms]
for n, call in enumerate(calls):
    while not next(call).HasField("caught_up"):
        pass
append(alike, *(str(n) for n in range(50)))
found = [[next(call).event.event for _ in range(50)] for call in calls]
for events, form in zip(found, forms * 2):
    assert [event.data for event in events] == [str(n).encode() for n in range(50)]
    assert all(event.id.HasField("string" if form is TEXT else "structured") for event in events)


def as_uuid(id):
    both = id.structured.most_significant_bits % 2**64 << 64 | id.structured.least_significant_bits % 2**64
    return uuid.UUID(id.string) if id.string else uuid.UUID(int=both)


assert len({tuple(as_uuid(event.id) for event in events) for events in found}) == 1
for call in calls:
    call.cancel()


# Readers of groups: the link's id is acknowledged, its position counts for both.
groups = persistent_pb2_grpc.PersistentSubscriptionsStub(channel)
client.create_subscription_to_stream("g", links, resolve_links=True)
client.create_subscription_to_stream("plain", links)
reader = client.read_subscription_to_stream("g", links)
for n, (stream, revision) in enumerate(wanted):
    event = next(reader)
    assert (event.stream_name, event.stream_position, event.link.stream_position) == (stream, revision, n)
    reader.ack(event)
    if n == 3:
        break
reader.stop()
sent = queue.Queue()
options = persistent_pb2.ReadReq.Options(
    stream_identifier=shared_pb2.StreamIdentifier(stream_name=odd.encode()),
    group_name="g",
    buffer_size=100,
    uuid_option=persistent_pb2.ReadReq.Options.UUIDOption(string=EMPTY),
)
client.create_subscription_to_stream("g", odd, resolve_links=True)
sent.put(persistent_pb2.ReadReq(options=options))
call = groups.Read(iter(sent.get, None))
assert next(call).HasField("subscription_confirmation")
answers = [next(call).event for _ in data]
assert [shown(a.link) for a in answers] == [link_ for _, link_ in links_alone]
assert [shown(a.event) for a in answers] == [*[None] * 11, *(event for event, _ in expected[11:])]
assert answers[12].event.commit_position == answers[12].link.commit_position == answers[12].commit_position
ids = [shared_pb2.UUID(string=a.link.id.string) for a in answers]
sent.put(persistent_pb2.ReadReq(ack=persistent_pb2.ReadReq.Ack(ids=ids)))
for _ in range(100):
    info = client.get_subscription_info("g", odd)
    if info.last_checkpointed_event_position == str(len(data) - 1):
        break
    uuid.uuid4(), __import__("time").sleep(0.05)
assert info.last_checkpointed_event_position == str(len(data) - 1), info
sent.put(None), call.cancel()
reader = client.read_subscription_to_stream("plain", links)
event = next(reader)
assert (event.stream_name, event.type, event.link) == (links, "$>", None)
reader.stop()
client.close()
