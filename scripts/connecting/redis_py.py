"""redis-py over TLS."""

import os

import redis
from redis.exceptions import AuthenticationError, ConnectionError, NoPermissionError

DIRECTORY = os.environ["CLIENT_DIR"]
PORT, DEMANDING = int(os.environ["CLIENT_PORT"]), int(os.environ["CLIENT_PORT_DEMANDING"])


def connect(port=PORT, host="localhost", ca="ca", certificate=None, **more):
    path = lambda name: os.path.join(DIRECTORY, name)
    if certificate:
        more.update(ssl_certfile=path(f"{certificate}.crt"), ssl_keyfile=path(f"{certificate}.key"))
    return redis.Redis(
        host=host, port=port, ssl=True, ssl_cert_reqs="required", ssl_check_hostname=True, ssl_ca_certs=path(f"{ca}.crt"),
        decode_responses=True, retry=None, **more,
    )


def refused(kind, call):
    try:
        found = call()
    except kind:
        return
    raise SystemExit(f"not refused: {found}")


for protocol in (2, 3):
    user = connect(username="anna", password="pw", protocol=protocol)
    assert user.acl_whoami() == "anna"
    assert user.set("app:py", "x" * 100_000) and user.get("app:py") == "x" * 100_000
    with user.pipeline(transaction=True) as pipe:
        assert pipe.set("app:py2", 1).incr("app:py2").execute() == [True, 2]
    with user.pipeline(transaction=False) as pipe:
        for _ in range(1000):
            pipe.incr("app:n")
        found = pipe.execute()
        assert found == list(range(found[0], found[0] + 1000))
    refused(NoPermissionError, lambda: user.get("other"))
    refused(NoPermissionError, lambda: user.flushall())
    refused(AuthenticationError, lambda: connect(username="anna", password="no", protocol=protocol).ping())
    refused(AuthenticationError, lambda: connect(protocol=protocol).ping())
    assert connect(password="secret", protocol=protocol).acl_whoami() == "default"
    assert connect(certificate="anna", protocol=protocol).acl_whoami() == "anna"
    refused(AuthenticationError, lambda: connect(certificate="nobody", protocol=protocol).ping())
    assert connect(DEMANDING, certificate="anna", protocol=protocol).ping()
    refused((ConnectionError, OSError), lambda: connect(DEMANDING, password="secret", protocol=protocol).ping())
# Certificates of other authorities, and for other names, are the client's to refuse.
refused(ConnectionError, lambda: connect(ca="other-ca", password="secret").ping())
refused(ConnectionError, lambda: connect(host="127.0.0.1", password="secret").ping())
print(f"redis-py {redis.__version__}")
