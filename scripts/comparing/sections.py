"""What is measured, one function for each section of the page. subscriptions.py has those of subscribers, durability.py
those of history on disk, idle.py and lanes.py what keytide-bench can't do.

A section answers its tables.
"""

import dataclasses

from comparing import durability, generator, grpc, idle, lanes, memory, subscriptions
from comparing.results import Results
from comparing.rounds import Run, measure
from comparing.servers import keytides, peers
from comparing.tables import Ratio, Value

PIPELINES = (1, 16, 64)
# A request each 2 ms.
PARKED_RATE = 500


@dataclasses.dataclass(frozen=True)
class Table:
    """A table of a section; `settings` say in words how it was measured."""

    name: str
    results: Results
    unit: str
    columns: list
    settings: str


# It sleeps as soon as it has nothing to do, as the others do: waiting is not to count as work.
SPIN = "keytide --spin-us 0"
RATE = Value("operations/s", "rate", 0)
CPU = Value("server CPU µs/op (min–max)", "cpu", 2, spread=True)
# What fills a server for a workload, and what a workload is called, where it is not the workload itself.
FILLED_BY = {"get": "set", "mixed": "set", "lpop": "lpush", "hget": "hset"}
NAMES = {"mixed": "10 % SET, 90 % GET, Zipf", "lpop": "LPUSH and LPOP", "sadd": "SADD and SREM"}
LOAD_CPU = Value("load CPU µs/op", "load_cpu")


def ratios(figure, *bases):
    return [Ratio(figure, base) for base in (*bases, "first")]


def loads(args, workloads, pipelines, cores, seconds, extra=()):
    """For `measure`: fills a server, and answers the runs of each workload at each pipeline."""

    def prepare(server):
        for workload in dict.fromkeys(FILLED_BY.get(name, name) for name in workloads):
            generator.fill(args, server, workload, cores)
        runs = []
        for pipeline in pipelines:
            for workload in workloads:
                flags = [*generator.common(args), "--workload", workload, "--pipeline", pipeline, *extra]
                if workload == "mixed":
                    flags += ["--set-share", "0.1", "--distribution", "zipf"]

                def call(flags=flags):
                    return generator.load(args, server, flags, cores, seconds)

                name = NAMES.get(workload, workload.upper())
                runs.append(Run(f"{name}, pipeline {pipeline}", server.label, server.role, call))
        return runs

    return prepare


def sized(args):
    return f"{args.connections} connections, {args.keys:,} keys, {args.value_bytes}-byte values"


def apart(args):
    return f"server on core {args.server_core}, load on core {args.load_core}"


def load(args):
    one, beside = {args.server_core}, {args.load_core}
    servers = peers(args, one) + keytides(args, one, no_ring=True)
    results = measure("load", servers, loads(args, ("set", "get"), PIPELINES, beside, args.seconds), args.rounds)
    bases = ("newest", "redis", "others", "no-ring")
    columns = [RATE, *ratios("rate", *bases), CPU, *ratios("cpu", *bases)]
    settings = f"{sized(args)}; runs of {args.seconds:g} s; {apart(args)}; one shard, worker or thread; {SPIN}"
    return [Table("load", results, "Operations", [*columns, LOAD_CPU], settings)]


def percentiles(*figures):
    heads = {"p50": "p50 µs", "p99": "p99 µs", "p99_9": "p99.9 µs"}
    return [column for name in figures for column in (Value(heads[name], name, 0), *ratios(name, "newest", "redis", "others"))]


def latency(args):
    one, beside, seconds = {args.server_core}, {args.load_core}, args.seconds * 1.5
    servers = peers(args, one) + keytides(args, one, flags=())
    rates, of = {}, []

    def prepare(server):
        generator.fill(args, server, "set", beside)
        for workload in ("set", "get"):
            # The first server is redis-server, or what comes in its place.
            if workload not in rates:
                of.append(server.label)
                flags = [*generator.common(args), "--workload", workload, "--pipeline", 1]
                rates[workload] = int(generator.load(args, server, flags, beside, args.seconds)["rate"] / 2)
        runs = []
        for workload, rate in rates.items():
            flags = [*generator.common(args), "--workload", workload, "--rate", rate, "--wait", "spin"]

            def call(flags=flags):
                return generator.load(args, server, flags, beside, seconds)

            runs.append(Run(workload.upper(), server.label, server.role, call))
        return runs

    results = measure("latency", servers, prepare, args.rounds)
    columns = [*percentiles("p50", "p99", "p99_9"), Value("server CPU cores", "cpu_share")]
    asked = " and ".join(f"{rate:,} {name.upper()}/s" for name, rate in rates.items())
    asked += f", half of what {' and '.join(dict.fromkeys(of))} did at most"
    settings = f"{asked}; {sized(args)}; runs of {seconds:g} s; {apart(args)}; default --spin-us"
    return [Table("latency", results, "Operations", columns, settings)]


def parked(args):
    one, beside, seconds = {args.server_core}, {args.load_core}, args.seconds * 2
    servers = peers(args, one) + keytides(args, one, flags=())

    def prepare(server):
        generator.fill(args, server, "set", beside)
        flags = [*generator.common(args, 1), "--workload", "get", "--rate", PARKED_RATE, "--wait", "spin"]

        def call():
            return generator.load(args, server, flags, beside, seconds)

        return [Run("GET", server.label, server.role, call)]

    results = measure("parked", servers, prepare, args.rounds)
    columns = [*percentiles("p50", "p99"), Value("p99.9 µs", "p99_9", 0), Value("server CPU cores", "cpu_share", 3)]
    settings = f"1 connection, {PARKED_RATE} requests/s; runs of {seconds:g} s; {apart(args)}; default --spin-us"
    return [Table("parked", results, "Operations", columns, settings)]


def reading(args):
    one, beside = {args.server_core}, {args.load_core}
    servers = peers(args, one, only={"redis", "redis-8", "valkey"}) + keytides(args, one)

    def prepare(server):
        sources = {"cdc-read": ("read", "CDC.READ"), "group": ("group", "CDC.GROUP READ, CDC.ACK")}
        if server.role != "keytide":
            sources = {"xrange": ("read", "XRANGE"), "xread": ("read", "XREAD")}
            sources["xreadgroup"] = ("group", "XREADGROUP, XACK")
        runs, sizes = [], ["--events", args.events, "--count", args.count, "--value-bytes", args.value_bytes]
        filled = []
        for source, (kind, name) in sources.items():
            passes = args.passes if kind == "read" else max(1, args.passes // 4)

            def call(source=source, passes=passes):
                flags = ["--source", source, *sizes, "--passes", passes]
                # The first reading writes the events, which is not measured.
                flags += [] if filled else ["--fill"]
                found = generator.run(args, "read", server, flags, beside, 10 * passes)
                filled.append(source)
                return found

            # XREAD is there to see, the target is XRANGE.
            role = "stream" if source == "xread" else server.role
            case = f"{args.count:,} at a time" + (", acknowledged" if kind == "group" else "")
            runs.append(Run(case, f"{server.label} {name}", role, call))
        return runs

    results = measure("reading", servers, prepare, args.rounds)
    cpu = Value("server CPU µs/event (min–max)", "cpu", 2, spread=True)
    columns = [Value("events/s", "rate", 0), *ratios("rate", "newest", "redis"), cpu]
    columns += [*ratios("cpu", "newest", "redis"), LOAD_CPU]
    settings = (
        f"{args.events:,} events of {args.value_bytes}-byte values, COUNT {args.count}, {args.passes} passes "
        f"({max(1, args.passes // 4)} with a group); {apart(args)}; {SPIN}"
    )
    return [Table("reading", results, "Events", columns, settings)]


def two(args):
    both, seconds = {args.server_core, args.load_core}, args.seconds * 0.75
    servers = peers(args, both, workers=2) + keytides(args, both, shards=2)
    results = measure("two", servers, loads(args, ("set", "get"), PIPELINES, both, seconds), args.rounds)
    columns = [RATE, *ratios("rate", "others"), CPU, *ratios("cpu", "others"), LOAD_CPU]
    settings = (
        f"two shards, workers or threads on cores {','.join(map(str, sorted(both)))}, the load beside them on both; "
        f"{sized(args)}; runs of {seconds:g} s; {SPIN}"
    )
    table = Table("two", results, "Operations", columns, settings)
    return [table, Table("lanes", *lanes.measured(args, both, seconds))]


def idling(args):
    return [Table("idle", *idle.measured(args))]


def subscribing(args):
    return [Table(*parts) for parts in subscriptions.measured(args)]


def durable(args):
    return [Table(*parts) for parts in durability.measured(args)]


def of_memory(args):
    return [Table("memory", *memory.measured(args))]


def of_grpc(args):
    return [Table(*parts) for parts in grpc.measured(args)]


def workloads(args):
    one, beside, seconds = {args.server_core}, {args.load_core}, args.seconds * 0.75
    servers = peers(args, one) + keytides(args, one)
    prepare = loads(args, ("incr", "lpush", "lpop", "hset", "hget", "sadd", "mixed"), (16,), beside, seconds)
    results = measure("workloads", servers, prepare, args.rounds)
    bases = ("newest", "redis", "others")
    columns = [RATE, *ratios("rate", *bases), CPU, *ratios("cpu", *bases), LOAD_CPU]
    settings = f"{sized(args)}; runs of {seconds:g} s; {apart(args)}; {SPIN}"
    return [Table("workloads", results, "Operations", columns, settings)]


SECTIONS = {
    "load": load,
    "latency": latency,
    "parked": parked,
    "reading": reading,
    "two": two,
    "idle": idling,
    "workloads": workloads,
    "memory": of_memory,
    "subscriptions": subscribing,
    "durability": durable,
    "grpc": of_grpc,
}
