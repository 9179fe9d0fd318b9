"""Clients of KurrentDB, each at a server where everybody may do everything, at one with users, and at one with users over TLS,
whose certificate they check. All are new for each client: what it counts is its own."""

import hashlib
import os
import shutil
import subprocess

from connecting.clients import SECONDS, Missing, client, need
from connecting.servers import Process

HERE = os.path.dirname(os.path.abspath(__file__))
# Of the tests for the client for Python, those that need a plain server only.
TESTS = ("streams.py", "subscriptions.py", "persistent.py")
CLIENT_NODE = "@kurrent/kurrentdb-client@1.3.1"


class Three:
    """The servers, and what their client is told."""

    def __init__(self, binary, directory):
        words = ["--port", "0", "--grpc-port", "any", "--shards", "2", "--ring-bytes", "8m", "--heap-bytes", "0"]
        user = f"anna on #{hashlib.sha256(b'pw').hexdigest()} ~app:* &* +@all -@dangerous"
        self.open = Process([binary, *words], {})
        self.closed = Process([binary, *words, "--grpc-plain-credentials", "--user", user], {"KEYTIDE_REQUIREPASS": "secret"})
        self.authorities = [os.path.join(directory, name) for name in ("ca.crt", "other-ca.crt")]
        signed = [os.path.join(directory, name) for name in ("server.crt", "server.key")]
        tls = ["--tls-port", "0", "--tls-cert", signed[0], "--tls-key", signed[1], "--user", user]
        self.tls = Process([binary, *words, *tls], {"KEYTIDE_REQUIREPASS": "secret"})
        self.processes = (self.open, self.closed, self.tls)

    def environment(self):
        grpc, users, resp = self.open.ready["grpc"], self.closed.ready["grpc"], self.open.ready["resp"]
        # The name is what the certificate says.
        tls = f"kurrentdb://anna:pw@localhost:{self.tls.ready['grpc'].rpartition(':')[2]}?tls=true&tlsCaFile="
        return {
            **os.environ,
            "CLIENT_KURRENTDB": f"kurrentdb://{grpc}?tls=false",
            "CLIENT_KURRENTDB_USERS": f"kurrentdb://anna:pw@{users}?tls=false",
            "CLIENT_KURRENTDB_TLS": tls + self.authorities[0],
            "CLIENT_KURRENTDB_OTHER": tls + self.authorities[1],
            "CLIENT_PORT": resp.rpartition(":")[2],
        }

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.processes:
            process.end()


def run(servers, words, **more):
    with Three(servers.binary, servers.directory) as three:
        done = subprocess.run(words, env=three.environment(), capture_output=True, text=True, timeout=SECONDS, **more)
        for process in three.processes:
            process.check()
        return done


def make(words, what, **more):
    """Gets or builds what a client needs."""
    done = subprocess.run(words, capture_output=True, text=True, **more)
    if done.returncode != 0:
        raise Missing(f"{what}: {(done.stderr or done.stdout).strip()[-500:]}")


def place_of(root, name):
    place = os.path.join(root, "target", "clients", name)
    os.makedirs(place, exist_ok=True)
    return place


@client("kurrentdb-node")
def node(root, servers):
    need("node", "Debian: nodejs")
    need("npm", "Debian: npm")
    place = place_of(root, "kurrentdb-node")
    if not os.path.exists(os.path.join(place, "node_modules", "@kurrent")):
        make(["npm", "install", "--prefix", place, "--no-audit", "--no-fund", "--silent", CLIENT_NODE], "npm cannot install it")
    # Modules are looked for beside the program.
    program = shutil.copy(os.path.join(HERE, "kurrentdb.mjs"), place)
    return run(servers, ["node", program])


@client("kurrentdb-go")
def go(root, servers):
    need("go", "Debian: golang")
    program = os.path.join(place_of(root, "kurrentdb-go"), "client")
    make(["go", "build", "-o", program, "."], "go cannot build it", cwd=os.path.join(HERE, "go"))
    return run(servers, [program])


@client("kurrentdb-java")
def java(root, servers):
    for program in ("java", "javac", "mvn"):
        need(program, "Debian: default-jdk-headless, maven")
    place = place_of(root, "kurrentdb-java")
    jars = os.path.join(place, "lib")
    if not os.path.exists(jars):
        pom = os.path.join(HERE, "java", "pom.xml")
        make(["mvn", "-q", "-f", pom, "dependency:copy-dependencies", f"-DoutputDirectory={jars}"], "mvn cannot get it")
    classes = f"{jars}/*"
    make(["javac", "-cp", classes, "-d", place, os.path.join(HERE, "java", "KurrentDB.java")], "javac cannot build it")
    return run(servers, ["java", "-cp", f"{classes}:{place}", "KurrentDB"])


@client("kurrentdb-rust")
def rust(root, servers):
    need("cargo", "rustup.rs")
    # Not a package of the project's: its hundreds of dependencies are nobody else's.
    place = place_of(root, "kurrentdb-rust")
    shutil.copytree(os.path.join(HERE, "rust"), place, dirs_exist_ok=True)
    make(["cargo", "build", "-q"], "cargo cannot build it", cwd=place, env={**os.environ, "CARGO_TARGET_DIR": f"{place}/target"})
    return run(servers, [os.path.join(place, "target", "debug", "client-kurrentdb")])


@client("kurrentdb-python")
def python(root, servers):
    candidates = [shutil.which(os.path.join(root, ".venv", "bin", "python3")), shutil.which("python3")]
    for python in filter(None, candidates):
        found = subprocess.run([python, "-c", "import kurrentdbclient, redis"], capture_output=True)
        if found.returncode == 0:
            return run_tests(root, servers, python)
    raise Missing("kurrentdbclient is not installed (scripts/test installs it; pip install kurrentdbclient redis)")


def run_tests(root, servers, python):
    """The project's tests with this client: scripts that count what is there, each at a new server."""
    directory = os.path.join(root, "net", "tests", "kurrentdb")
    for name in TESTS:
        done = run(servers, [python, os.path.join(HERE, "run_test.py"), os.path.join(directory, name)])
        if done.returncode != 0:
            return done
    return subprocess.CompletedProcess([], 0, f"kurrentdbclient for Python: {', '.join(TESTS)}", "")
