"""gRPC: Keytide with the official client of KurrentDB for Rust, beside UmaDB with its own; and beside Keytide's own path over the
Redis protocol. One table for each: subscribers to everything, appends, a persistent subscription, what the open port costs.

The load is `grpc_client`, a program of its own with both clients, unmodified, on one thread. UmaDB keeps its file in memory
(/dev/shm) where Keytide keeps nothing on disk, and beside Keytide's directory where it does.
"""

import json
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile

from comparing import generator
from comparing.peers import INSTALLED, ROOT
from comparing.rounds import Run, measure
from comparing.servers import Failed, Server, child, keytides
from comparing.tables import Ratio, Value

HERE = pathlib.Path(__file__).resolve().parent / "grpc_client"
UMADB = ("umadb", "0.7.8")
# Bytes of an event, and of a ring that keeps a million of them.
EVENT_BYTES, RING_BYTES = 256, "1g"
WRITERS = (1, 4, 16)
# Events in flight to a reader of a persistent subscription.
IN_FLIGHT = 1000
BUILD_SECONDS_MAX = 3600
GRACE_SECONDS = 300


def built():
    """The load's program."""
    place = ROOT / "target" / "grpc-load"
    shutil.copytree(HERE, place, dirs_exist_ok=True)
    environment = os.environ | {"CARGO_TARGET_DIR": str(place / "target")}
    make(["cargo", "build", "-q", "--release"], cwd=place, env=environment)
    return place / "target" / "release" / "grpc-load"


def umadb():
    """UmaDB's server; none where it cannot be built, which needs protoc (Debian: protobuf-compiler)."""
    name, version = UMADB
    program = INSTALLED / "bin" / name
    if not program.exists():
        make(["cargo", "install", "--root", str(INSTALLED), name, "--version", version, "--locked"], cwd=ROOT)
    return program


def make(words, **more):
    try:
        code = subprocess.run(words, stdin=subprocess.DEVNULL, timeout=BUILD_SECONDS_MAX, **more).returncode
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Failed(f"`{' '.join(words)}`: {error}") from None
    if code:
        raise Failed(f"`{' '.join(words)}` failed; UmaDB and its client need protoc (Debian: protobuf-compiler)")


class Grpc(Server):
    """A keytide with both ports: `port` is that of the Redis protocol, `grpc` the other one."""

    kind = "kurrentdb"

    def launch(self, stdout=None):
        self.grpc = free_port()
        super().launch(stdout)


class Uma(Server):
    """UmaDB, on disk or in memory."""

    kind = "umadb"

    def __init__(self, cores, program, in_memory):
        super().__init__("UmaDB", "umadb", cores, self.of)
        self.program, self.in_memory, self.memory = program, in_memory, None

    def of(self, port, directory):
        self.grpc = port
        if self.in_memory:
            self.memory = tempfile.TemporaryDirectory(prefix="keytide-compare-", dir="/dev/shm")
            directory = pathlib.Path(self.memory.name)
        return [self.program, "--listen", f"127.0.0.1:{port}", "--db-path", directory / "uma.db"]

    def greet(self):
        self.socket = self.connect()

    def stop(self):
        super().stop()
        if self.memory:
            self.memory.cleanup()
        self.memory = None


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


def grpcs(args, flags, directory=False):
    """Each keytide asked for, with both ports; with `directory` on disk and durable."""
    found = []
    for label, path in args.binary:
        common = [path, "--bind", "127.0.0.1", "--shards", 1, "--cores", args.server_core, "--spin-us", 0, *flags]
        server = Grpc(f"{label} gRPC", "keytide", {args.server_core}, None)

        def words(port, place, common=common, server=server):
            kept = ["--dir", place / "data", "--fsync", "always"] if directory else []
            return [*common, "--port", port, "--grpc-port", server.grpc, *kept]

        server.words = words
        found.append(server)
    return found


def load(args, program, server, what, *numbers):
    """A run of the load: its figures, and the server's CPU in microseconds for each of its events."""
    words = [str(word) for word in (program, server.kind, f"127.0.0.1:{server.grpc}", what, *numbers)]
    before = server.cpu_seconds()
    try:
        done = subprocess.run(
            words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=GRACE_SECONDS,
            preexec_fn=child({args.load_core}),
        )
    except subprocess.TimeoutExpired:
        server.process.kill()
        raise Failed(f"no end after {GRACE_SECONDS} s, so it was killed") from None
    if done.returncode:
        raise Failed((done.stderr.strip().splitlines() or ["grpc-load failed"])[-1])
    figures = json.loads(done.stdout)
    if figures.get("events"):
        figures["cpu"] = (server.cpu_seconds() - before) * 1e6 / figures["events"]
        figures["per_cpu"] = 1e6 / figures["cpu"]
    return figures


def over_resp(found):
    """Figures of keytide-bench, of events."""
    return found | {"per_cpu": 1e6 / found["cpu"] if found.get("cpu") else None}


def subscribers(args, program, store):
    events, of_many = (100_000, 2_000) if args.quick else (1_000_000, 10_000)

    def prepare(server):
        last = load(args, program, server, "fill", events, EVENT_BYTES).get("last")
        runs = []
        for count, each in ((1, events), (100, of_many)):
            after = 0 if each == events else last - each
            case = f"{count} subscriber{'s' if count > 1 else ''}, {each:,} events each"

            def call(count=count, each=each, after=after):
                return load(args, program, server, "subscribe", count, each, after)

            runs.append(Run(case, server.label, server.role, call))
        if server.role == "keytide":
            # Of each pass a new connection; the events are those that are there.
            flags = ["--kind", "keytide", "--from", "start", "--events", events, "--passes", 1]

            def resp():
                return over_resp(generator.run(args, "subscribe", server, flags, {args.load_core}, 60))

            label = server.label.replace("gRPC", "CDC.SUBSCRIBE")
            runs.append(Run(f"1 subscriber, {events:,} events each", label, "resp", resp))
        return runs

    servers = [*([Uma({args.server_core}, store, True)] if store else []), *grpcs(args, ["--ring-bytes", RING_BYTES])]
    results = measure("grpc subscribers", servers, prepare, args.rounds)
    columns = [
        Value("events/s", "rate", 0), Ratio("rate", "umadb"), Value("server CPU µs/event (min–max)", "cpu", 3, spread=True),
        Value("events per CPU second", "per_cpu", 0), Ratio("per_cpu", "umadb"), Ratio("cpu", "resp"),
    ]  # fmt: skip
    settings = f"a history of {events:,} events of {EVENT_BYTES} bytes, read from the start by 1, its last by 100; {apart(args)}"
    return "grpc subscribers", results, "A subscription to everything", columns, settings


def appends(args, program, store, durable):
    ms = int(args.seconds * 2000)

    def prepare(server):
        runs = []
        for writers in WRITERS:
            case = f"{writers} writer{'s' if writers > 1 else ''}, {'durable' if durable else 'in memory'}"

            def call(writers=writers):
                return load(args, program, server, "append", writers, ms, EVENT_BYTES)

            runs.append(Run(case, server.label, server.role, call))
        return runs

    servers = [*([Uma({args.server_core}, store, not durable)] if store else []), *grpcs(args, [], durable)]
    results = measure(f"grpc appends, {'durable' if durable else 'in memory'}", servers, prepare, args.rounds)
    columns = [
        Value("appends/s", "rate", 0), Ratio("rate", "umadb"), Value("p50 µs", "p50", 0), Ratio("p50", "umadb"),
        Value("p99 µs", "p99", 0), Value("server CPU µs/append", "cpu"), Ratio("cpu", "umadb"),
    ]  # fmt: skip
    where = "--dir, --fsync always; UmaDB's file beside it" if durable else "nothing on disk; UmaDB's file in /dev/shm"
    settings = (
        f"each writer a connection, one event of {EVENT_BYTES} bytes after the other; runs of {ms / 1000:g} s; {where}; "
        f"{apart(args)}"
    )
    return "grpc appends", results, "Appends", columns, settings


def persistent(args, program):
    events = 20_000 if args.quick else 100_000

    def prepare(server):
        load(args, program, server, "fill-group", events, EVENT_BYTES)

        def call():
            return load(args, program, server, "group", events, IN_FLIGHT)

        filled = []

        def resp():
            flags = ["--source", "group", "--events", events, "--count", IN_FLIGHT, "--passes", 1]
            flags += ["--value-bytes", EVENT_BYTES, *([] if filled else ["--fill"])]
            filled.append(True)
            return over_resp(generator.run(args, "read", server, flags, {args.load_core}, 60))

        label = server.label.replace("gRPC", "CDC.GROUP READ, CDC.ACK")
        return [Run("read and acknowledge", server.label, server.role, call), Run("read and acknowledge", label, "resp", resp)]

    results = measure("grpc groups", grpcs(args, ["--ring-bytes", RING_BYTES]), prepare, args.rounds)
    columns = [Value("events/s", "rate", 0), Value("server CPU µs/event (min–max)", "cpu", 2, spread=True), Ratio("cpu", "resp")]
    settings = (
        f"{events:,} events of {EVENT_BYTES} bytes, at most {IN_FLIGHT:,} in flight; the client of KurrentDB acknowledges each by "
        f"itself, the other one {IN_FLIGHT:,} at a time; {apart(args)}"
    )
    return "grpc groups", results, "A persistent subscription", columns, settings


def port(args):
    """SET and GET with the port open and closed: `keytides` have it closed."""
    closed = keytides(args, {args.server_core})
    for server in closed:
        server.label, server.role = f"{server.label}, port closed", "closed"
    servers = [*closed, *grpcs(args, [])]

    def prepare(server):
        generator.fill(args, server, "set", {args.load_core})
        runs = []
        for pipeline in (1, 16, 64):
            for workload in ("set", "get"):
                flags = [*generator.common(args), "--workload", workload, "--pipeline", pipeline]

                def call(flags=flags):
                    return generator.load(args, server, flags, {args.load_core}, args.seconds)

                runs.append(Run(f"{workload.upper()}, pipeline {pipeline}", server.label.replace("gRPC", "port open").strip(), server.role, call))
        return runs

    results = measure("grpc port", servers, prepare, args.rounds)
    columns = [Value("operations/s", "rate", 0), Ratio("rate", "closed"), Value("server CPU µs/op (min–max)", "cpu", 2, spread=True), Ratio("cpu", "closed")]
    settings = f"{args.connections} connections, {args.keys:,} keys, {args.value_bytes}-byte values; runs of {args.seconds:g} s; {apart(args)}"
    return "grpc port", results, "Beside the open port", columns, settings


def apart(args):
    return f"server on core {args.server_core}, load on core {args.load_core}; one shard; keytide --spin-us 0"


def measured(args):
    """For tables: name, results, unit, columns, settings of each."""
    program = built()
    try:
        store = umadb()
    except Failed as error:
        store = None
        args.notes.append(f"without UmaDB: {error}")
    found = [subscribers(args, program, store)]
    found += [appends(args, program, store, durable) for durable in (False, True)]
    return [*found, persistent(args, program), port(args)]
