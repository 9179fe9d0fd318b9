"""Persistent subscriptions and the rights of users, each call by its own. TLS is the port, CA the file of the authority, RESP the
plain port of the Redis protocol."""

import redis
from kurrentdbclient import KurrentDBClient, NewEvent, StreamState
from kurrentdbclient.exceptions import KurrentDBClientError


def connect(user):
    return KurrentDBClient(f"kurrentdb://{user}@localhost:{TLS}?tls=true&tlsCaFile={CA}")


def refused(call):
    try:
        call()
    except KurrentDBClientError as error:
        assert "Access Denied" in str(error), error
        return
    raise AssertionError("it was not refused")


everybody, reader = connect("default:all"), connect("reader:see")
cache = redis.Redis(port=RESP, password="all", protocol=2)
for stream in ["seen-1", "hidden-1"]:
    event = NewEvent(type="Happened", data=b"x")
    everybody.append_event(stream, current_version=StreamState.ANY, event=event)
    everybody.create_subscription_to_stream("g", stream)
everybody.create_subscription_to_all("g")
everybody.create_subscription_to_stream("g", "$ce-seen")
cache.execute_command("CDC.GROUP", "CREATE", "seen*", "of-a-pattern", "0")

# Its own streams, and nothing else.
reader.create_subscription_to_stream("mine", "seen-1")
assert reader.get_subscription_info("mine", "seen-1").group_name == "mine"
assert len(reader.list_subscriptions_to_stream("seen-1")) == 2
refused(lambda: reader.create_subscription_to_stream("mine", "hidden-1"))
refused(lambda: reader.create_subscription_to_stream("mine", "$ce-seen"))
refused(lambda: reader.create_subscription_to_all("mine"))
refused(lambda: reader.update_subscription_to_stream("g", "hidden-1"))
refused(lambda: reader.delete_subscription("g", "hidden-1"))
refused(lambda: reader.replay_parked_events("g", "hidden-1"))
refused(lambda: reader.get_subscription_info("g", "hidden-1"))
refused(lambda: reader.list_subscriptions())
refused(lambda: reader.list_subscriptions_to_stream("hidden-1"))
refused(lambda: reader.read_subscription_to_stream("g", "hidden-1"))
refused(lambda: reader.read_subscription_to_stream("g", "$ce-seen"))
refused(lambda: reader.read_subscription_to_all("g"))
# A group of a pattern has events of streams that are not in its name.
refused(lambda: reader.read_subscription_to_stream("of-a-pattern", "seen*"))

# A right that is taken away ends who reads by it, and nobody else.
subscription = reader.read_subscription_to_stream("g", "seen-1")
other = everybody.read_subscription_to_stream("mine", "seen-1")
assert next(subscription).stream_name == "seen-1"
cache.execute_command("ACL", "SETUSER", "reader", "resetkeys", "~else")
refused(lambda: next(subscription))
assert next(other).stream_name == "seen-1"
subscription.stop(), other.stop()
everybody.close(), reader.close()
