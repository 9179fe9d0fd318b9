"""Readers of persistent subscriptions that do what no client does, by the bytes of the protocol's messages. While they do,
others are served. GRPC and RESP say where the server is."""

import queue
import time
import uuid

import grpc
import redis
from kurrentdbclient import KurrentDBClient, NewEvent, StreamState
from kurrentdbclient.protos.v1 import persistent_pb2 as p
from kurrentdbclient.protos.v1 import persistent_pb2_grpc, shared_pb2

client = KurrentDBClient(GRPC)
cache = redis.Redis(port=RESP, protocol=2)
address = GRPC.split("//")[1].split("?")[0]
channel = grpc.insecure_channel(address)
stub = persistent_pb2_grpc.PersistentSubscriptionsStub(channel)


class Reader:
    """A call of Read, and what it sends."""

    def __init__(self, *requests):
        self.requests = queue.Queue()
        for request in requests:
            self.requests.put(request)
        self.call = stub.Read(iter(self.requests.get, None))

    def send(self, request):
        self.requests.put(request)

    def fails(self, code):
        try:
            for _ in self.call:
                pass
        except grpc.RpcError as error:
            assert error.code() == code, (error.code(), error.details())
            self.requests.put(None)
            return error.details()
        raise AssertionError("it was not refused")

    def end(self):
        self.call.cancel()
        self.requests.put(None)


def options(group, stream, buffer=10, **more):
    empty = shared_pb2.Empty()
    made = dict(group_name=group, buffer_size=buffer, uuid_option=p.ReadReq.Options.UUIDOption(string=empty))
    if stream is not None:
        made["stream_identifier"] = shared_pb2.StreamIdentifier(stream_name=stream.encode())
    made.update(more)
    return p.ReadReq(options=p.ReadReq.Options(**made))


def ids(count):
    return [shared_pb2.UUID(string=str(uuid.uuid4())) for _ in range(count)]


def in_flight(group, stream):
    return client.get_subscription_info(group, stream).total_in_flight_messages


def eventually(what):
    for _ in range(200):
        if what():
            return
        time.sleep(0.05)
    assert what(), "it has not come to that"


invalid, exhausted = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.RESOURCE_EXHAUSTED
stream = f"attacked-{uuid.uuid4()}"
events = [NewEvent(type="Happened", data=b"x") for _ in range(20_000)]
for at in range(0, len(events), 5_000):
    client.append_events(stream, current_version=StreamState.ANY, events=events[at : at + 5_000])
client.create_subscription_to_stream("g", stream, message_timeout=60.0, max_subscriber_count=200)

# What is no request of a reader.
ack = p.ReadReq(ack=p.ReadReq.Ack(ids=ids(1)))
assert "first request" in Reader(ack).fails(invalid)
assert "once" in Reader(options("g", stream), options("g", stream)).fails(invalid)
for buffer in (0, -1, -(1 << 31)):
    assert "buffer_size" in Reader(options("g", stream, buffer)).fails(invalid)
assert "UUID" in Reader(options("g", stream), p.ReadReq(ack=p.ReadReq.Ack(ids=[shared_pb2.UUID(string="x")]))).fails(invalid)
assert "missing" in Reader(options("g", stream), p.ReadReq(ack=p.ReadReq.Ack(ids=[shared_pb2.UUID()]))).fails(invalid)
Reader(options("g", stream, uuid_option=None)).fails(invalid)
Reader(options("", stream)).fails(invalid)
Reader(options("g", None)).fails(invalid)
assert "exceeds" in Reader(options("g", stream), p.ReadReq(ack=p.ReadReq.Ack(id=b"x" * (1 << 20)))).fails(exhausted)
eventually(lambda: in_flight("g", stream) == 0)

# The largest buffer there is: no more than the server's limit is in flight.
greedy = Reader(options("g", stream, (1 << 31) - 1))
assert next(greedy.call).subscription_confirmation.subscription_id == f"{stream}::g"
got = [next(greedy.call) for _ in range(10_000)]
time.sleep(0.2)
assert in_flight("g", stream) == 10_000
# Acknowledging what it has not got frees nothing; what it has got it may acknowledge again and again.
for _ in range(200):
    greedy.send(p.ReadReq(ack=p.ReadReq.Ack(ids=ids(100))))
    greedy.send(p.ReadReq(nack=p.ReadReq.Nack(ids=[got[0].event.event.id], action=p.ReadReq.Nack.Park)))
eventually(lambda: client.get_subscription_info("g", stream).parked_message_count == 1)
assert cache.ping() and in_flight("g", stream) == 10_000
greedy.end()
eventually(lambda: in_flight("g", stream) == 0)

# Readers that never acknowledge, and read nothing: many of them. Others are served.
silent = [Reader(options("g", stream, 50)) for _ in range(90)]
eventually(lambda: len(client.get_subscription_info("g", stream).connections) == 90)
eventually(lambda: in_flight("g", stream) == 90 * 50)
with client.read_subscription_to_stream("g", stream) as subscription:
    for event in (next(subscription) for _ in range(1_000)):
        subscription.ack(event)
# They come and go.
for _ in range(20):
    readers = [Reader(options("g", stream, 50)) for _ in range(5)]
    for reader in readers:
        reader.end()
for reader in silent:
    reader.end()
eventually(lambda: client.get_subscription_info("g", stream).connections == [])
eventually(lambda: in_flight("g", stream) == 0)
assert cache.execute_command("CDC.GROUP", "READ", stream, "g", "worker", 5)

# A reader that does not read its answers: what is too much for it stays with the group.
large = f"large-{uuid.uuid4()}"
client.create_subscription_to_stream("g", large, message_timeout=60.0)
stuck = Reader(options("g", large, 5_000))
for _ in range(6):
    data = [NewEvent(type="Large", data=b"x" * 100_000) for _ in range(20)]
    client.append_events(large, current_version=StreamState.ANY, events=data)
assert cache.ping()
stuck.end()

# Many groups are listed a few at a time.
for n in range(700):
    cache.execute_command("CDC.GROUP", "CREATE", stream, f"one-of-{n}", "$")
assert len(client.list_subscriptions_to_stream(stream)) == 701
assert len(client.list_subscriptions()) >= 702
client.close()
channel.close()
