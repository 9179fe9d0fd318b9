"""Persistent subscriptions of a server that is killed and started again on its directory. PHASE says how often it was
started. GRPC and RESP say where it is."""

import os

import redis
from kurrentdbclient import KurrentDBClient, NewEvent, StreamState

client = KurrentDBClient(GRPC)
cache = redis.Redis(port=RESP, protocol=2)
settings = dict(consumer_strategy="Pinned", message_timeout=60.0, max_retry_count=5, max_subscriber_count=3, live_buffer_size=77)


def append(stream, count, name="Happened"):
    events = [NewEvent(type=name, data=b"%d" % n) for n in range(count)]
    client.append_events(stream, current_version=StreamState.ANY, events=events)


def take(subscription, count):
    return [next(subscription) for _ in range(count)]


if PHASE == 1:
    append("orders", 10)
    client.create_subscription_to_stream("g", "orders", **settings)
    client.create_subscription_to_all("kinds", filter_include=["^Kind[0-9]$"])
    client.create_subscription_to_stream("untouched", "orders", stream_position=8)
    subscription = client.read_subscription_to_stream("g", "orders", event_buffer_size=6, max_ack_batch_size=1)
    events = take(subscription, 6)
    subscription.ack(events[0]), subscription.ack(events[1])
    subscription.nack(events[2], action="park")
    while client.get_subscription_info("g", "orders").parked_message_count != 1:
        pass
    events = [NewEvent(type="$>", data=b"%d@orders" % n) for n in [9, 0, 5]]
    client.append_events("links", current_version=StreamState.ANY, events=events)
    # What is in flight now is so until the server is gone.
    print("ok", flush=True)
    os._exit(0)

info = client.get_subscription_info("g", "orders")
assert (info.consumer_strategy, info.message_timeout, info.max_retry_count) == ("Pinned", 60.0, 5), info
assert (info.max_subscriber_count, info.live_buffer_size, info.parked_message_count) == (3, 77, 1), info
assert info.connections == [] and info.outstanding_messages_count == 0, info
consumers = cache.execute_command("CDC.GROUP", "INFO", "orders", "g")
assert dict(zip(consumers[::2], consumers[1::2]))[b"consumers"] == [], "who read before is gone"
with client.read_subscription_to_stream("g", "orders", max_ack_batch_size=1) as subscription:
    events = take(subscription, 7)
    assert [event.stream_position for event in events] == [3, 4, 5, 6, 7, 8, 9]
    assert [event.retry_count for event in events][:3] == [1, 1, 1]
    client.replay_parked_events("g", "orders")
    assert next(subscription).stream_position == 2
with client.read_subscription_to_stream("untouched", "orders") as subscription:
    assert [event.stream_position for event in take(subscription, 2)] == [8, 9]
append("a", 1, "Kind7"), append("b", 1, "Kindly"), append("c", 1, "Kind8")
with client.read_subscription_to_all("kinds") as subscription:
    assert [event.type for event in take(subscription, 2)] == ["Kind7", "Kind8"]
# Links to events that shards of another number have recorded, from then and from now.
append("orders", 1)
events = [NewEvent(type="$>", data=b"%d@orders" % n) for n in [10, 9, 0, 8, 11]]
client.append_events("links", current_version=StreamState.ANY, events=events)
found = client.get_stream("links", resolve_links=True)
assert [(event.stream_name, event.stream_position, event.link.stream_position) for event in found] == [
    ("orders", revision, n) for n, revision in enumerate([9, 0, 5, 10, 9, 0, 8])
]
client.close()
