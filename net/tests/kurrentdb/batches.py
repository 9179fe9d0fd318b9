"""Calls of BatchAppend by their messages: many appends in one call. GRPC and RESP say where the server is, PACED the port of
one where a user may run ten commands in a second."""

import uuid

import grpc
import redis
from kurrentdbclient import KurrentDBClient
from kurrentdbclient.protos.v1 import shared_pb2, streams_pb2, streams_pb2_grpc

LIMIT = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


def appends(stream, count, data):
    for _ in range(count):
        message = streams_pb2.BatchAppendReq.ProposedMessage(
            id=shared_pb2.UUID(string=str(uuid.uuid4())),
            metadata={"type": "Numbered", "content-type": "application/octet-stream"},
            data=data,
        )
        options = streams_pb2.BatchAppendReq.Options(stream_identifier=shared_pb2.StreamIdentifier(stream_name=stream.encode()))
        options.any.SetInParent()
        correlation = shared_pb2.UUID(string=str(uuid.uuid4()))
        yield streams_pb2.BatchAppendReq(
            correlation_id=correlation, options=options, proposed_messages=[message], is_final=True
        )


def answers(port, stream, count, data, **more):
    with grpc.insecure_channel(f"127.0.0.1:{port}", options=LIMIT, **more) as channel:
        batch = streams_pb2_grpc.StreamsStub(channel).BatchAppend
        return list(batch(appends(stream, count, data), timeout=60))


# Small messages that become large ones: each turn takes some, and all are answered.
port, stream = GRPC.split(":")[-1].split("?")[0], f"zipped-{uuid.uuid4()}"
found = answers(port, stream, 40, b"0" * 700_000, compression=grpc.Compression.Gzip)
assert [answer.success.current_revision for answer in found] == list(range(40)), found

# Each append of a call counts, and not the call alone.
found = answers(PACED, stream, 100, b"x")
refused = [answer for answer in found if answer.HasField("error")]
assert len(found) == 100 and 0 < len(refused) < 100, len(refused)
assert {answer.error.code for answer in refused} == {8} and "user-commands" in refused[0].error.message, refused[0]

# A message that anybody may send before a login is short.
with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
    features = channel.unary_unary("/event_store.client.server_features.ServerFeatures/GetSupportedMethods")
    assert features(b"")
    try:
        features(b"\x0a" + b"x" * 100_000)
        raise AssertionError("it is too long")
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED, error

# A deleted stream is subscribed to while it is begun again: its new event comes, whichever was first.
client, cache = KurrentDBClient(GRPC), redis.Redis(port=RESP, protocol=2)
for n in range(60):
    stream = f"deleted-{uuid.uuid4()}"
    cache.set(stream, 1)
    client.delete_stream(stream, current_version=0)
    # The answer is read later: the server works on this while it takes the subscription.
    connection = cache.connection_pool.get_connection()
    connection.send_command("CDC.APPEND", stream, "Begun", n)
    with client.subscribe_to_stream(stream) as subscription:
        event = next(subscription)
        assert (event.type, int(event.data), event.stream_position) == ("Begun", n, 1), event
    assert connection.read_response()
    cache.connection_pool.release(connection)
client.close()
