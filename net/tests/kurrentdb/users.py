"""Users: each call's own, else the connection's. TLS, PLAIN and ASKED are ports, CA the file of the authority."""

import base64

import grpc
import redis
from kurrentdbclient import CaughtUp, KurrentDBClient, NewEvent, StreamState
from kurrentdbclient.events import NewEvents
from kurrentdbclient.exceptions import KurrentDBClientError


def connect(user, port, tls):
    options = f"tls=true&tlsCaFile={CA}" if tls else "tls=false"
    return KurrentDBClient(f"kurrentdb://{user}@localhost:{port}?{options}")


def refused(text, call):
    try:
        call()
    except KurrentDBClientError as error:
        assert text in str(error), error
        return
    raise AssertionError(f"{text} was expected")


def append(client, stream, **more):
    event = NewEvent(type="Happened", data=b"x")
    return client.append_event(stream, current_version=StreamState.ANY, event=event, **more)


everybody = connect("default:all", TLS, True)
append(everybody, "seen-1")
append(everybody, "hidden-1")
assert len(list(everybody.read_all())) == 2

reader = connect("reader:see", TLS, True)
append(reader, "seen-1")
assert len(reader.get_stream("seen-1")) == 2
denied = "Access Denied"
refused(denied, lambda: reader.get_stream("hidden-1"))
refused(denied, lambda: append(reader, "hidden-1"))
refused(denied, lambda: list(reader.read_all()))
refused(denied, lambda: reader.get_stream("$ce-seen"))
refused(denied, lambda: next(reader.subscribe_to_stream("hidden-1")))
refused(denied, lambda: next(reader.subscribe_to_all()))
refused(denied, lambda: reader.delete_stream("hidden-1", current_version=StreamState.ANY))
with reader.subscribe_to_stream("seen-1", include_caught_up=True) as subscription:
    assert [isinstance(next(subscription), CaughtUp) for _ in range(3)] == [False, False, True]
# The credentials of a call go before those of the connection.
mine = reader.construct_call_credentials("default", "all")
assert len(reader.get_stream("hidden-1", credentials=mine)) == 1

refused("Unauthenticated", lambda: connect("reader:wrong", TLS, True).get_stream("seen-1"))
refused("Unauthenticated", lambda: connect("nobody:see", TLS, True).get_stream("seen-1"))
# This client keeps its credentials to itself without TLS, so it is nobody there.
refused("Unauthenticated", lambda: connect("reader:see", PLAIN, False).get_stream("seen-1"))
refused("Unauthenticated", lambda: connect("reader:see", ASKED, False).get_stream("seen-1"))
# What was denied is in the log of Redis clients.
cache = redis.Redis(port=RESP, protocol=2, password="all")
rows = [dict(zip(row[::2], row[1::2])) for row in cache.execute_command("ACL", "LOG")]
denials = {(row[b"reason"], row[b"object"], row[b"username"]) for row in rows}
read = b"/event_store.client.streams.Streams/Read"
for denial in [(b"key", b"hidden-1", b"reader"), (b"key", b"$all", b"reader"), (b"auth", read, b"reader"), (b"auth", read, b"nobody")]:
    assert denial in denials, (denial, denials)
assert all(b"proto=grpc" in row[b"client-info"] for row in rows)

# A read ends where its user may not go on.
for _ in range(3):
    events = [NewEvent(type="Large", data=b"x" * 100_000) for _ in range(150)]
    everybody.append_events("seen-large", current_version=StreamState.ANY, events=events)
cache.execute_command("ACL", "SETUSER", "passing", "on", ">p", "~*", "+@all")
passing = connect("passing:p", TLS, True)
for read in (lambda: passing.read_stream("seen-large"), lambda: passing.read_all(), lambda: passing.read_all(backwards=True)):
    cache.execute_command("ACL", "SETUSER", "passing", "~*")
    events = iter(read())
    next(events)
    cache.execute_command("ACL", "SETUSER", "passing", "resetkeys")
    refused(denied, lambda: list(events))
passing.close()
cache.execute_command("ACL", "DELUSER", "passing")

# A link gives nobody an event that the user may not read: by its keys, as a system stream's, by what its metadata says.
append(everybody, "seen-secret")
everybody.set_stream_metadata("seen-secret", metadata={"$acl": {"$r": "$admins"}}, current_version=StreamState.ANY)
targets = ["seen-1", "hidden-1", "$$seen-secret", "seen-secret", "$all", "seen-1"]
events = [NewEvent(type="$>", data=f"0@{target}".encode()) for target in targets]
everybody.append_events("seen-links", current_version=StreamState.ANY, events=events)


def resolved(client):
    """This client leaves out links whose events it does not get."""
    return [event.link.data.decode().removeprefix("0@") for event in client.get_stream("seen-links", resolve_links=True)]


assert resolved(everybody) == ["seen-1", "hidden-1", "$$seen-secret", "seen-secret", "seen-1"]
assert resolved(reader) == ["seen-1", "seen-1"]
assert len(reader.get_stream("seen-links")) == 6
subscription = reader.subscribe_to_stream("seen-links", resolve_links=True)
assert [next(subscription).link.stream_position for _ in range(2)] == [0, 5]
# A right that is taken away counts for the next link.
cache.execute_command("ACL", "SETUSER", "reader", "resetkeys", "~seen-links", "~seen-2")
append(everybody, "seen-2")
events = [NewEvent(type="$>", data=f"0@{target}".encode()) for target in ["seen-1", "seen-2"]]
everybody.append_events("seen-links", current_version=StreamState.ANY, events=events)
assert next(subscription).link.data == b"0@seen-2"
subscription.stop()
assert resolved(reader) == ["seen-2"]
cache.execute_command("ACL", "SETUSER", "reader", "resetkeys", "~seen*")

# Defaults, where metadata does not say: of streams, and of those of the system. Who may do everything is not bound by them.
def defaults(text):
    event = NewEvent(type="$settings", data=text.encode())
    everybody.append_event("$settings", current_version=StreamState.ANY, event=event)


defaults('{"$userStreamAcl": {"$r": "$all", "$w": ["$admins"], "$d": ["reader"], "$mr": "$all", "$mw": "$all"}}')
append(everybody, "seen-9")
refused(denied, lambda: append(reader, "seen-9"))
assert reader.get_stream("seen-9") and everybody.get_stream("seen-9")
append(everybody, "seen-9")
# What a stream's own metadata says goes before: each right by itself.
everybody.set_stream_metadata("seen-9", metadata={"$acl": {"$w": "reader"}}, current_version=StreamState.ANY)
append(reader, "seen-9")
everybody.set_stream_metadata("seen-9", metadata={"$acl": {"$r": "$admins"}}, current_version=StreamState.ANY)
refused(denied, lambda: append(reader, "seen-9"))
refused(denied, lambda: reader.get_stream("seen-9"))
everybody.set_stream_metadata("seen-9", metadata={}, current_version=StreamState.ANY)
defaults('{"$userStreamAcl": {"$r": ["$admins"]}}')
refused(denied, lambda: reader.get_stream("seen-9"))
refused(denied, lambda: next(reader.subscribe_to_stream("seen-9")))
refused(denied, lambda: reader.read_subscription_to_stream("g", "seen-9"))
append(reader, "seen-9")
# Streams of the system, computed ones too: for those with all keys whom the defaults name.
cache.execute_command("ACL", "SETUSER", "wide", "on", ">w", "~*", "+@all", "-@admin")
wide = connect("wide:w", TLS, True)
assert all(wide.get_stream(stream) for stream in ["$settings", "$ce-seen", "$streams"]) and list(wide.read_all())
defaults('{"$systemStreamAcl": {"$r": ["$admins"], "$w": ["$admins"]}}')
for stream in ["$settings", "$ce-seen", "$streams"]:
    refused(denied, lambda: wide.get_stream(stream))
    assert everybody.get_stream(stream)
refused(denied, lambda: list(wide.read_all()))
refused(denied, lambda: next(wide.subscribe_to_all()))
refused(denied, lambda: append(wide, "$settings"))
assert wide.get_stream("seen-9") and reader.get_stream("seen-9")
defaults('{"$systemStreamAcl": {"$r": ["wide"]}}')
assert wide.get_stream("$settings") and list(wide.read_all())
refused(denied, lambda: reader.get_stream("$ce-seen"))
# What is no JSON says nothing, and what is no list of names permits nobody.
for text in ["", "{", "[]", "[" * 5_000, '{"$userStreamAcl": null}', "\0", "7" * 200_000]:
    defaults(text)
    assert wide.get_stream("seen-9") and wide.get_stream("$settings"), text
for text in ['{"$userStreamAcl": 7}', '{"$userStreamAcl": {"$r": 7}}', '{"$userStreamAcl": {"$r": [[]]}}']:
    defaults(text)
    refused(denied, lambda: wide.get_stream("seen-9"))
    assert wide.get_stream("$settings") and everybody.get_stream("seen-9")
# A stream of settings that is deleted says nothing, and begins again.
everybody.delete_stream("$settings", current_version=StreamState.ANY)
assert wide.get_stream("seen-9")
defaults('{"$userStreamAcl": {"$r": []}}')
refused(denied, lambda: wide.get_stream("seen-9"))
defaults("{}")
wide.close()
cache.execute_command("ACL", "DELUSER", "wide")

# The service Users, by the bytes of its messages.
root = open(CA, "rb").read()
channel = grpc.secure_channel(f"localhost:{TLS}", grpc.ssl_channel_credentials(root))


def field(number, value):
    value = value if isinstance(value, bytes) else value.encode()
    return bytes([number << 3 | 2, len(value)]) + value


def fields(message):
    found, at = {}, 0
    while at < len(message):
        number, kind = message[at] >> 3, message[at] & 7
        length = message[at + 1] if kind == 2 else 0
        found.setdefault(number, []).append(message[at + 2 : at + 2 + length] if kind == 2 else message[at + 1])
        at += 2 + length
    return found


def users(method, by, *parts):
    request = field(1, b"".join(field(number, value) for number, value in parts))
    login = "Basic " + base64.b64encode(by.encode()).decode()
    call = channel.unary_stream(f"/event_store.client.users.Users/{method}")
    return list(call(request, metadata=[("authorization", login)], timeout=20))


def status(method, by, *parts):
    try:
        users(method, by, *parts)
    except grpc.RpcError as error:
        trailers = dict(error.trailing_metadata())
        return error.code().name, error.details(), trailers.get("exception"), trailers.get("login-name")
    return None


def details(by, *parts):
    # login name, full name, groups, whether it is off
    text = lambda found: [value.decode() for value in found]
    of = lambda found: (text(found[1])[0], text(found.get(2, [b""]))[0], text(found.get(3, [])), bool(found.get(5)))
    return [of(fields(fields(message)[1][0])) for message in users("Details", by, *parts)]


admin, denied = "default:all", ("PERMISSION_DENIED", "Access Denied", "access-denied", None)
anna = [(1, "anna"), (2, "secret one"), (3, "Anna (B) 100 %"), (4, "accounting")]
assert users("Create", admin, *anna) == [b""]
assert status("Create", admin, *anna) == ("FAILED_PRECONDITION", "Conflict.", "user-conflict", "anna")
assert details("anna:secret one", (1, "anna")) == [("anna", "Anna (B) 100 %", ["accounting"], False)]
assert [found[0] for found in details(admin)] == ["anna", "default", "reader"]
assert [found[2] for found in details(admin)] == [["accounting"], ["$admins"], []]
by_anna = connect("anna:secret one", TLS, True)
append(by_anna, "hidden-1")
assert len(by_anna.get_stream("hidden-1")) == 2
refused(denied[1], lambda: list(by_anna.read_all()))
refused(denied[1], lambda: by_anna.get_stream("$ce-seen"))
for method, parts in [("Create", anna), ("Update", anna), ("Delete", anna[:1]), ("Details", []), ("Details", [(1, "reader")]), ("ResetPassword", anna[:1])]:
    assert status(method, "anna:secret one", *parts) == denied, method
assert status("Delete", admin, (1, "default")) == denied and status("Disable", admin, (1, "default")) == denied
missing = ("NOT_FOUND", "User 'nobody' is not found.", "user-not-found", "nobody")
for method in ("Update", "Delete", "Enable", "Disable", "Details", "ResetPassword", "ChangePassword"):
    assert status(method, admin, (1, "nobody")) == missing, method

# What the metadata of a stream says of who may use it holds for all but those who may do everything.
users("Create", admin, (1, "bob"), (2, "b"))
by_bob = connect("bob:b", TLS, True)
append(by_bob, "ledger")
rights = {"$r": "anna", "$w": ["accounting", "carla"], "$d": [], "$mr": "$all", "$mw": "$admins"}
everybody.set_stream_metadata("ledger", metadata={"$acl": rights})
append(by_anna, "ledger")
assert len(by_anna.get_stream("ledger")) == 2
# What describes streams is for those who may use all keys, whatever it says itself.
refused(denied[1], lambda: by_anna.get_stream_metadata("ledger"))
refused(denied[1], lambda: by_anna.set_stream_metadata("ledger", metadata={}))
with by_anna.subscribe_to_stream("ledger") as subscription:
    assert next(subscription).type == "Happened"
refused(denied[1], lambda: by_anna.delete_stream("ledger", current_version=StreamState.ANY))
refused(denied[1], lambda: by_anna.tombstone_stream("ledger", current_version=StreamState.ANY))
refused(denied[1], lambda: by_bob.get_stream("ledger"))
refused(denied[1], lambda: append(by_bob, "ledger"))
refused(denied[1], lambda: next(by_bob.subscribe_to_stream("ledger")))
together = [NewEvents(name, [NewEvent(type="Happened", data=b"")], StreamState.ANY) for name in ("of-bob", "ledger")]
refused("Insufficient permissions", lambda: by_bob.multi_append_to_stream(together))
assert status("Details", "bob:b", (1, "bob")) is None
everybody.delete_stream("ledger", current_version=1)
rows = [dict(zip(row[::2], row[1::2])) for row in cache.execute_command("ACL", "LOG")]
assert (b"key", b"ledger", b"bob") in {(row[b"reason"], row[b"object"], row[b"username"]) for row in rows}
by_bob.close()
users("Delete", admin, (1, "bob"))

# A password is changed by who knows it.
change = lambda old, new: [(1, "anna"), (2, old), (3, new)]
assert status("ChangePassword", "anna:secret one", *change("wrong", "x")) == denied
users("Create", admin, (1, "bob"), (2, "b"))
assert status("ChangePassword", "bob:b", *change("secret one", "x")) == denied
users("Delete", admin, (1, "bob"))
assert users("ChangePassword", "anna:secret one", *change("secret one", "two")) == [b""]
assert status("Details", "anna:secret one", (1, "anna"))[0] == "UNAUTHENTICATED"
assert users("ResetPassword", admin, (1, "anna"), (2, "three")) == [b""] and len(details("anna:three", (1, "anna"))) == 1

# What somebody may do is made of the groups.
assert status("Update", "anna:three", (1, "anna"), (4, "$admins")) == denied
users("Update", admin, (1, "anna"), (3, "Anna"), (4, "$admins"))
assert details("anna:three", (1, "anna")) == [("anna", "Anna", ["$admins"], False)]
again = connect("anna:three", TLS, True)
assert len(list(again.read_all())) > 2
scavenge = channel.unary_unary("/event_store.client.operations.Operations/StartScavenge")
as_anna = [("authorization", "Basic " + base64.b64encode(b"anna:three").decode())]
users("Update", admin, (1, "anna"), (3, "Anna"), (4, "$ops"))
refused(denied[1], lambda: list(again.read_all()))
assert scavenge(b"", metadata=as_anna)
users("Update", admin, (1, "anna"), (3, "Anna"))
try:
    scavenge(b"", metadata=as_anna)
    raise AssertionError("only operators may")
except grpc.RpcError as error:
    assert error.code() == grpc.StatusCode.PERMISSION_DENIED

# One that is off cannot log in; rights that were given otherwise stay.
users("Disable", admin, (1, "anna"))
assert status("Details", "anna:three", (1, "anna"))[0] == "UNAUTHENTICATED" and details(admin, (1, "anna"))[0][3]
users("Enable", admin, (1, "anna"))
assert len(details("anna:three", (1, "anna"))) == 1
users("Update", admin, (1, "reader"), (3, "A reader"))
assert len(reader.get_stream("seen-1")) == 2
refused(denied[1], lambda: reader.get_stream("hidden-1"))

# Users and their changes are the same for Redis clients.
assert b"full-name=A%20reader" in cache.execute_command("ACL", "LIST")[2], cache.execute_command("ACL", "LIST")
users("Delete", admin, (1, "anna"))
assert cache.execute_command("ACL", "USERS") == [b"default", b"reader"]
assert status("Details", "anna:three", (1, "anna"))[0] == "UNAUTHENTICATED"
for client in (by_anna, again, everybody, reader):
    client.close()
channel.close()
