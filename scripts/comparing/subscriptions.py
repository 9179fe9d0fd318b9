"""What subscribers cost: their filters, what they receive, how soon, and their catching up. One table for each.

The peer is redis-server: keyspace notifications for changes, pub/sub for latency, XREAD of a stream for a history.
Subscribers and writers are one process, `keytide-bench subscribe`. What a server keeps of its throughput, or what one
more thing costs, is over a run without it on the same server right before, so each figure of a pair is of one moment.
"""

import statistics

from comparing import generator, targets
from comparing.peers import ROOT
from comparing.rounds import Run, measure
from comparing.servers import command, keytides, peers
from comparing.tables import Ratio, Value

REGEXES = ROOT / "bench" / "regexes.txt"
PIPELINE = 16
# Subscriptions of filters are spread over so many connections.
CONNECTIONS = 100
# Filter, how many, and the case's name.
FILTERS = (
    ("prefix", 10, "10 prefixes"),
    ("prefix", 10_000, "10,000 prefixes"),
    ("regex", 1000, "1,000 regexes"),
    ("hostile", 1000, "1,000 hostile regexes"),
)
# So many events looked at, times 32, that no checkpoint comes in a run.
RARELY = 1_000_000
# For the server to end in the background what it does for new subscriptions.
SETTLE_SECONDS = 0.5
# The keys so often are more than a ring of 64 MiB.
LAP_FILLS = 6
# Writes before the filters' cost is measured: each name is met for the first time once.
WARM_SECONDS = 1
# Beside writes: filters that are added, and GETs that see what a client waits for, per second.
ADDED, PROBES = 100, 1000
LATENCY_RATE = 10_000
# A server that is slowed down answers what it has been sent, up to this late.
SLOW_SECONDS = 60


def lap(args, server):
    """Fills the keys, and has the ring gone round once: memory that nobody has touched before is slow for a while."""
    for _ in range(LAP_FILLS):
        generator.fill(args, server, "set", {args.load_core})


def is_redis(server):
    """Whether it is a redis-server, or a Valkey, of whatever version."""
    return server.role in ("redis", "newest")


def prepared(server):
    """A redis-server tells of changes, and drops no subscriber that is slow; it does neither by itself."""
    if is_redis(server):
        server.ask(command("CONFIG", "SET", "notify-keyspace-events", "KEA"))
        server.ask(command("CONFIG", "SET", "client-output-buffer-limit", "pubsub 0 0 0"))


def kind(server):
    return "keyspace" if is_redis(server) else "keytide"


def sizes(args):
    return ["--keys", args.keys, "--value-bytes", args.value_bytes]


def subscribe(args, server, flags, seconds):
    """A run of `keytide-bench subscribe`: the figures of any run, and what was received as `delivery`."""
    found = generator.run(args, "subscribe", server, flags, {args.load_core}, seconds + SLOW_SECONDS)
    return found | {"delivery": found["json"]["delivery"]}


def loaded(args, server, flags, seconds):
    """The same beside as many writes as there can be."""
    flags = ["--kind", kind(server), "--writer", "load", "--clients", args.connections, *sizes(args), *flags]
    return subscribe(args, server, ["--pipeline", PIPELINE, *flags], seconds)


def filtering(filter_name, count):
    flags = ["--filter", filter_name, "--subscriptions", count, "--connections", CONNECTIONS]
    return [*flags, "--regexes", REGEXES, "--checkpoint", RARELY, "--settle-seconds", SETTLE_SECONDS]


def some(count):
    """Nothing in a table where there is none."""
    return count or None


def beside(found, alone):
    """Figures of a run with filters, next to one without."""
    delivery = found["delivery"]
    return {
        "rate": found["rate"],
        "alone": alone["rate"],
        "kept": found["rate"] / alone["rate"],
        "cpu": found["cpu"],
        "added": found["cpu"] - alone["cpu"],
        "events": some(delivery["events"]),
        "live": delivery["live"],
        "refused": some(delivery["refused"]),
        "behind": some(delivery["fell_behind"]),
        "dropped": some(sum(delivery["dropped"].values())),
    }


def grown(alone, few, many):
    """What filters add to the CPU of a SET, few and many, by the calmest runs; their ratio where few add anything."""
    alone, few, many = (min(run["cpu"] for run in runs) for runs in (alone, few, many))
    figures = {"alone": alone, "few": few - alone, "many": many - alone}
    return figures | ({"growth": (many - alone) / (few - alone)} if few > alone else {})


def filters(args, servers):
    def prepare(server):
        prepared(server)
        generator.fill(args, server, "set", {args.load_core})
        runs = []
        for filter_name, count, case in FILTERS:
            if is_redis(server) and filter_name != "prefix":
                continue

            def call(filter_name=filter_name, count=count):
                seconds = ["--seconds", args.seconds, "--warmup-seconds", WARM_SECONDS]
                alone = loaded(args, server, [*seconds, "--subscriptions", 0], args.seconds)
                found = loaded(args, server, [*seconds, *filtering(filter_name, count)], args.seconds)
                return beside(found, alone)

            runs.append(Run(case, server.label, server.role, call))
        return runs

    results = measure("filters", servers, prepare, args.rounds)
    columns = [
        Value("SET/s", "rate", 0),
        Value("SET/s without", "alone", 0),
        Value("kept", "kept", targets.DECIMALS["kept"]),
        Value("server CPU µs/SET", "cpu"),
        Value("of it for them", "added"),
        Value("events received", "events", 0),
        Value("live in the end", "live", 0),
        Value("refused", "refused", 0),
        Value("times behind", "behind", 0),
        Value("dropped", "dropped", 0),
    ]
    settings = (
        f"each filter a subscription of its own, over {CONNECTIONS} connections; no prefix and no hostile regex "
        f"matches a key; SETs over {args.connections} connections at pipeline {PIPELINE}, {args.keys:,} keys, "
        f"{args.value_bytes}-byte values; "
        f"runs of {args.seconds:g} s after {WARM_SECONDS} s; CHECKPOINT {RARELY}; redis-server: "
        f"PSUBSCRIBE of __keyspace@0__:<prefix>*, notify-keyspace-events KEA; {apart(args)}"
    )
    return "filters", results, "Filters", columns, settings


def growing(args, servers):
    repeats, seconds = (2 if args.quick else 5), args.seconds / 2

    def prepare(server):
        generator.fill(args, server, "set", {args.load_core})

        def call():
            found = {0: [], 10: [], 10_000: []}
            for _ in range(repeats):
                for count, runs in found.items():
                    runs.append(loaded(args, server, ["--seconds", seconds, *filtering("prefix", count)], seconds))
            return grown(*found.values())

        return [Run("10 and 10,000 prefixes", server.label, server.role, call)]

    results = measure("growing", servers, prepare, args.rounds)
    columns = [
        Value("server CPU µs/SET without", "alone", 3),
        Value("more with 10", "few", 3),
        Value("more with 10,000", "many", 3),
        Value("ratio", "growth"),
    ]
    settings = (
        f"as above; of each the least CPU of {repeats} runs of {seconds:g} s, in turn, for the difference is small "
        f"beside what varies from run to run"
    )
    return "growing", results, "Filters", columns, settings


def calmest(runs):
    """Of each figure the least one: what else happens on a machine only makes turns and latencies longer."""
    turns = [run["delivery"]["longest_turn_us"] for run in runs]
    found = {name: min(run[name] for run in runs) for name in ("p50", "p99_9", "max")}
    return found if None in turns else found | {"turn": min(turns)}


def longer(found, alone):
    """The calmest of the runs with filters that are added, next to that of the runs without."""
    found, alone = calmest(found), calmest(alone)
    figures = found | {f"{name}_alone": value for name, value in alone.items()}
    return figures | ({"longer": found["turn"] - alone["turn"]} if "turn" in found and "turn" in alone else {})


def adding(args, servers):
    repeats, seconds = (2 if args.quick else 5), args.seconds / 2

    def prepare(server):
        generator.fill(args, server, "set", {args.load_core})

        def call():
            flags = ["--seconds", seconds, "--probe-rate", PROBES, *filtering("prefix", 10_000)]
            alone, found = [], []
            for _ in range(repeats):
                alone.append(loaded(args, server, flags, seconds))
                found.append(loaded(args, server, [*flags, "--add-rate", ADDED], seconds))
            return longer(found, alone) | {
                "added": sum(run["delivery"]["added"] for run in found),
                "rate": statistics.median(run["rate"] for run in found),
            }

        return [Run("10,000 prefixes and more", server.label, server.role, call)]

    results = measure("adding", servers, prepare, args.rounds)
    columns = [Value("SET/s", "rate", 0), Value("added", "added", 0)]
    for head, figure in (("longest turn µs", "turn"), ("GET p50 µs", "p50"), ("GET p99.9 µs", "p99_9")):
        columns += [Value(head, figure, 0), Value("none added", f"{figure}_alone", 0)]
        columns += [Value("longer by", "longer", 0)] if figure == "turn" else []
    settings = (
        f"{ADDED} filters a second are added, one at a time, to those that are live; SETs as above; {PROBES:,} GETs a "
        f"second from a client of its own, which shares the load's core; of each figure the least of {repeats} runs of "
        f"{seconds:g} s, with filters added and without in turn: what else happens only makes it longer"
    )
    return "adding", results, "Filters", columns, settings


def received(found):
    """Figures of subscribers to everything."""
    delivery, cpu = found["delivery"], found["delivery"]["server_cpu_us_per_event"]
    left_out = delivery["expected"] - delivery["events"]
    return {
        "rate": found["rate"],
        "cpu": cpu,
        "per_cpu": 1e6 / cpu if cpu else None,
        "seconds": delivery["last_push_seconds"],
        "lost": left_out + delivery["missing"] + delivery["disordered"] + delivery["lost"],
        "behind": some(delivery["fell_behind"]),
        "dropped": some(sum(delivery["dropped"].values())),
    }


def everything(args, servers):
    few, many = (30_000, 2000) if args.quick else (300_000, 20_000)

    def prepare(server):
        prepared(server)
        lap(args, server)
        runs = []
        for count, writes in ((1, few), (100, many)):
            flags = ["--subscriptions", count, "--connections", count, "--requests", writes, "--settle-seconds", 0.1]

            def call(flags=flags):
                return received(loaded(args, server, flags, 0))

            case = f"{count} subscriber{'s' if count > 1 else ''}, {writes:,} SETs"
            runs.append(Run(case, server.label, server.role, call))
        return runs

    results = measure("everything", servers, prepare, args.rounds)
    columns = [
        Value("SET/s", "rate", 0),
        Value("last push after s", "seconds"),
        Value("not received", "lost", 0),
        Value("server CPU µs/event", "cpu", 3),
        Value("events per CPU second", "per_cpu", 0),
        Ratio("per_cpu", "newest"),
        Ratio("per_cpu", "redis"),
        Value("times behind", "behind", 0),
        Value("dropped", "dropped", 0),
    ]
    settings = (
        f"CPU from the first write to the last push, the SETs' own included; each subscriber a connection; SETs over "
        f"{args.connections} connections at pipeline {PIPELINE}; redis-server: SUBSCRIBE __keyevent@0__:set, and no "
        f"limit for what waits for a subscriber; {apart(args)}"
    )
    return "everything", results, "Subscribers to everything", columns, settings


def pushing(args, servers):
    seconds = args.seconds * 2

    def prepare(server):
        lap(args, server)
        flags = ["--kind", "pubsub" if is_redis(server) else "keytide", "--writer", "stamps", *sizes(args)]
        flags += ["--rate", LATENCY_RATE, "--seconds", seconds, "--warmup-seconds", generator.WARMUP_SECONDS]

        def call():
            found = subscribe(args, server, flags, seconds)
            return found | {"lost": found["delivery"]["expected"] - found["delivery"]["events"]}

        label = f"{server.label} PUBLISH, SUBSCRIBE" if is_redis(server) else f"{server.label} SET, CDC.SUBSCRIBE"
        return [Run("to 1 subscriber", label, server.role, call)]

    results = measure("pushing", servers, prepare, args.rounds)
    columns = []
    for head, figure in (("p50 µs", "p50"), ("p99 µs", "p99"), ("p99.9 µs", "p99_9")):
        columns += [Value(head, figure, 0), Ratio(figure, "newest"), Ratio(figure, "redis")]
    columns += [Value("not received", "lost", 0), Value("server CPU cores", "cpu_share")]
    settings = (
        f"{LATENCY_RATE:,} writes a second, whatever the server does, from when each was due to its push; one "
        f"connection writes, another is subscribed to everything; {args.value_bytes}-byte values; runs of "
        f"{seconds:g} s; default --spin-us; {apart(args)}"
    )
    return "pushing", results, "From write to push", columns, settings


def catching_up(args, servers):
    # With a ring of 64 MiB some 400,000 events of 64-byte values are there.
    events = 30_000 if args.quick else 300_000

    def prepare(server):
        filled = []
        common, beside = ["--passes", args.passes, *sizes(args)], {args.load_core}

        def call():
            if is_redis(server):
                flags = ["--source", "xread", "--events", events, "--count", args.count, *common]
                # The first reading writes the events, which is not measured.
                found = generator.run(args, "read", server, flags + ([] if filled else ["--fill"]), beside, 60)
            else:
                flags = ["--kind", "keytide", "--from", "start", "--events", events, *common]
                found = subscribe(args, server, flags + ([] if filled else ["--fill", events]), 60)
                delivery = found["delivery"]
                found["lost"] = delivery["expected"] - delivery["events"] + delivery["missing"] + delivery["disordered"]
            filled.append(True)
            return found

        how = "XREAD" if is_redis(server) else "CDC.SUBSCRIBE FROM START"
        return [Run(f"{events:,} events", f"{server.label} {how}", server.role, call)]

    results = measure("catching up", servers, prepare, args.rounds)
    columns = [
        Value("events/s", "rate", 0),
        Ratio("rate", "newest"),
        Ratio("rate", "redis"),
        Value("server CPU µs/event (min–max)", "cpu", 3, spread=True),
        Ratio("cpu", "newest"),
        Ratio("cpu", "redis"),
        Value("not received", "lost", 0),
    ]
    settings = (
        f"one subscriber reads the whole ring, {args.passes} times, a new connection each time; redis-server: XREAD "
        f"COUNT {args.count} of a stream with as many entries of the same data; {args.value_bytes}-byte values; "
        f"{apart(args)}"
    )
    return "catching up", results, "Catching up", columns, settings


def apart(args):
    return f"server on core {args.server_core}, load on core {args.load_core}"


def measured(args):
    """For tables: name, results, unit, columns, settings of each."""
    one = {args.server_core}

    def both(flags=("--spin-us", "0")):
        return peers(args, one, only={"redis", "redis-8", "valkey"}) + keytides(args, one, flags=flags)

    found = [filters(args, both()), growing(args, keytides(args, one)), adding(args, keytides(args, one))]
    return [*found, everything(args, both()), pushing(args, both(flags=())), catching_up(args, both())]
