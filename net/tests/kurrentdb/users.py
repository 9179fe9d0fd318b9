"""Users: each call's own, else the connection's. TLS, PLAIN and ASKED are ports, CA the file of the authority."""

from kurrentdbclient import CaughtUp, KurrentDBClient, NewEvent, StreamState
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
everybody.close()
reader.close()
