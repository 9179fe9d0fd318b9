"""Resident memory for each key, field or element: a server that was just started is filled, and asked for nothing else.

The figure is what the process has grown by, divided by what was put in. Keytide runs without its ring, which is of a
fixed size, and without memory at hand. Each case has a process of its own, for no allocator gives all of its memory back.
"""

import dataclasses
import random
import time
from collections.abc import Callable, Iterator

from comparing.rounds import Run, measure
from comparing.servers import command, keytides, peers
from comparing.tables import Ratio, Value

BATCH = 2000
WARM_KEYS = 5000
SETTLE_SECONDS = 2.0
SETTLE_STEPS_MAX = 10
UNCHANGED_BYTES = 64 << 10
# How long after the last removal memory is looked at.
FALL_SECONDS = 10.0
KEY = "key:{:09d}"
# Neither the ring nor memory at hand before anybody asks for it, which would hide what is put there first.
FLAGS = ("--spin-us", "0", "--ring-bytes", "0", "--heap-bytes", "0")


@dataclasses.dataclass(frozen=True)
class Case:
    """What a server is filled with: commands for a number of keys, fields or members, of which `share` of all are made."""

    name: str
    share: float
    commands: Callable[[int], Iterator[bytes]]


def strings(value, *options):
    return lambda keys: (command("SET", KEY.format(n), value, *options) for n in range(keys))


def each(name, *rows):
    """A collection of the same rows at each key."""
    return lambda keys: (command(name, KEY.format(n), *rows) for n in range(keys))


def integers(keys):
    # From 0 to 10,000, so that most need two bytes.
    numbers = random.Random(1)
    return (command("SADD", KEY.format(n), *numbers.sample(range(10_000), 10)) for n in range(keys))


def scored(keys):
    return (
        command("ZADD", KEY.format(n), *(word for row in range(10) for word in (n % 1000 + row, f"member:{row}")))
        for n in range(keys)
    )


CASES = [
    Case("16-byte string", 1, strings("x" * 16)),
    Case("64-byte string", 1, strings("x" * 64)),
    Case("64-byte string with a TTL", 1, strings("x" * 64, "EX", "100000")),
    Case("hash of 5 fields", 0.2, each("HSET", *(f"{word}{row}" for row in range(5) for word in ("field:", "value:")))),
    Case("set of 10 integers", 0.2, integers),
    Case("list of 10 elements", 0.2, each("RPUSH", *(f"element:{row}" for row in range(10)))),
    Case("sorted set of 10", 0.2, scored),
    Case("a field of one hash", 1, lambda keys: (command("HSET", "hash", KEY.format(n), "x" * 16) for n in range(keys))),
    Case("a member of one sorted set", 1, lambda keys: (command("ZADD", "zset", n, KEY.format(n)) for n in range(keys))),
]
REMOVED = "64-byte string, 90 % removed"


def send(server, commands):
    batch = []
    for each_command in commands:
        batch.append(each_command)
        if len(batch) == BATCH:
            server.ask(b"".join(batch))
            batch.clear()
    server.ask(b"".join(batch))


def settled(server):
    """The memory of a server that does nothing, once it no longer changes."""
    before = server.memory_bytes()
    for _ in range(SETTLE_STEPS_MAX):
        time.sleep(SETTLE_SECONDS)
        now = server.memory_bytes()
        if abs(now - before) < UNCHANGED_BYTES:
            return now
        before = now
    return before


def filled(server, case, keys):
    """Starts the server anew and fills it; answers the bytes that it has grown by."""
    server.stop()
    server.start()
    # So that buffers and code that any filling touches are there.
    send(server, case.commands(WARM_KEYS))
    server.ask(command("FLUSHALL"))
    before = settled(server)
    send(server, case.commands(keys))
    return settled(server) - before, before


def measured(args):
    """For a table: results, unit, columns, settings."""
    one = {args.server_core}
    servers = peers(args, one) + keytides(args, one, flags=FLAGS)

    def prepare(server):
        def call(case):
            keys = int(args.memory_keys * case.share)
            return {"bytes": filled(server, case, keys)[0] / keys}

        def removed():
            keys = args.memory_keys
            grown, before = filled(server, CASES[1], keys)
            gone = random.Random(2).sample(range(keys), keys * 9 // 10)
            send(server, (command("DEL", KEY.format(n)) for n in gone))
            time.sleep(FALL_SECONDS)
            left = server.memory_bytes() - before
            return {"bytes": left / (keys // 10), "left": left / (grown / 10)}

        runs = [Run(case.name, server.label, server.role, lambda case=case: call(case)) for case in CASES]
        return [*runs, Run(REMOVED, server.label, server.role, removed)]

    results = measure("memory", servers, prepare, 1)
    columns = [Value("bytes", "bytes", 0), *(Ratio("bytes", base) for base in ("newest", "redis", "others"))]
    columns.append(Value("× what is left should take", "left"))
    settings = (
        f"resident memory, grown by, for each key, field or member: {args.memory_keys:,} strings, fields and members, a "
        f"fifth as many small collections; keys of 13 bytes; without a ring; {FALL_SECONDS:g} s after the removals"
    )
    return results, "Filled with", columns, settings
