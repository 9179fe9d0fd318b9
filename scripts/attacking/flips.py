"""Bytes that flip and files that are cut, of every kind in a directory: never a panic, never a damaged record accepted,
never a position twice, and `keytide check` finds what a start finds. Over the real binary and a connection; of those in
one process, many more in the same time, `net/tests/flips.rs` has its own."""

import collections
import os
import random
import shutil
import signal

from attacking.cases import case, expect
from attacking.durability import SMALL
from attacking.server import NotStarted
from attacking.wire import ReplyError, Wire, fields

KEYS, GROUPS = 200, 6


def fill(wire, rounds):
    """Values of each type, events, groups with some events acknowledged, a snapshot, and what came after it."""
    for number in range(rounds):
        wire.send("SET", f"k{number % KEYS}", f"{number:08}" * (1 + number % 30))
        wire.send("HSET", f"h{number % 50}", f"f{number % 7}", number)
        wire.send("RPUSH", f"l{number % 20}", f"e{number}")
        wire.send("CDC.APPEND", f"s{number % 10}", "T", f"d{number}", "META", "m")
        if number % 200 == 199 or number == rounds - 1:
            for _ in range(4 * (number % 200 + 1)):
                wire.reply()
    for group in range(4):
        wire.ask("CDC.GROUP", "CREATE", "k*", f"g{group}", 0)
        rows = wire.ask("CDC.GROUP", "READ", "k*", f"g{group}", "c", 50)
        wire.ask("CDC.ACK", "k*", f"g{group}", *[row[0] for row in rows[:30]])
    wire.ask("SAVE")
    wire.ask_all(("SET", f"k{number % KEYS}", f"after {number}") for number in range(rounds // 2))
    for group in range(4, GROUPS):
        wire.ask("CDC.GROUP", "CREATE", "k*", f"g{group}", 0)


def state(port):
    """What clients can see: keys, events by their positions, groups; and the error where reading met damage."""
    with Wire(port) as wire:
        keys = [wire.ask("MGET", *[f"k{n}" for n in range(KEYS)])]
        keys += [sorted(map(str, wire.ask("HGETALL", f"h{n}"))) for n in range(50)]
        keys += [wire.ask("LRANGE", f"l{n}", 0, -1) for n in range(20)]
        events, refusal, cursor = {}, None, 0
        while True:
            page = wire.ask("CDC.READ", cursor, "COUNT", 5000)
            if isinstance(page, ReplyError):
                refusal = str(page)
                break
            page = fields(page)
            for row in page["events"]:
                expect(row[0] not in events, f"position {row[0]} comes twice")
                events[row[0]] = row[1], row[2], row[3], row[5]
            if page["next_seq"] == cursor or not page["events"] and not page["gap"]:
                break
            cursor = page["next_seq"]
        pending = [wire.ask("CDC.PENDING", "k*", f"g{group}") for group in range(GROUPS)]
        groups = [str(each) if isinstance(each, ReplyError) else [row[0] for row in each] for each in pending]
        return {"keys": keys, "events": events, "groups": groups, "refusal": refusal}


def damage(rng, path):
    """Flips a bit or a byte, or cuts the file; says what."""
    with open(path, "r+b") as file:
        data = file.read()
        at = rng.randrange(len(data.rstrip(b"\0")) or len(data))
        if rng.random() < 0.15:
            file.truncate(at)
            return f"cut at {at}"
        byte = data[at] ^ (1 << rng.randrange(8)) if rng.random() < 0.7 else (data[at] + rng.randrange(1, 256)) % 256
        file.seek(at)
        file.write(bytes([byte]))
        return f"byte {at}: {data[at]} to {byte}"


class Flips:
    """One directory, damaged again and again."""

    def __init__(self, run, rng, shards, is_killed, rounds):
        self.run, self.rng, self.shards, self.is_killed = run, rng, shards, is_killed
        self.base = run.path(f"base-{shards}-{'killed' if is_killed else 'stopped'}")
        self.seen = collections.Counter()
        server = run.start("--dir", self.base, *SMALL, shards=shards)
        with Wire(server.port) as wire:
            fill(wire, rounds)
        self.before = state(server.port)
        server.end(signal.SIGKILL if is_killed else signal.SIGTERM)
        self.kinds = collections.defaultdict(list)
        for place, _, names in os.walk(self.base):
            for name in names:
                path = os.path.join(place, name)
                if name != "lock" and os.path.getsize(path):
                    self.kinds[name.rpartition(".")[2]].append(os.path.relpath(path, self.base))

    def once(self):
        kind = self.rng.choice(sorted(self.kinds))
        name = self.rng.choice(sorted(self.kinds[kind]))
        directory = self.run.path("damaged")
        shutil.rmtree(directory, ignore_errors=True)
        shutil.copytree(self.base, directory)
        what = f"{self.shards} shards, {'killed' if self.is_killed else 'stopped'}, {name}, "
        what += damage(self.rng, os.path.join(directory, name))
        try:
            self.seen[f"{kind}: {self.outcome(directory)}"] += 1
        except AssertionError as error:
            raise AssertionError(f"{what}: {error}") from error

    def outcome(self, directory):
        status, said = self.run.keytide_check(directory)
        expect(status in (0, 1), f"check ends with {status}: {said}")
        is_told = status == 1 or "note" in said
        try:
            server = self.run.start("--dir", directory, *SMALL, shards=self.shards)
        except NotStarted as refused:
            expect("panicked" not in refused.text and refused.status == 1, f"the start: {refused.text}")
            expect(status == 1, f"the start refuses ({refused.text[-200:]}), check ends with {status}: {said}")
            return "refused"
        try:
            after = state(server.port)
            with Wire(server.port) as wire:
                wire.ask("SET", "new", "event")
                newest = fields(wire.ask("CDC.INFO"))["head_seq"]
        finally:
            server.check()
            server.kill()
        before = self.before
        wrong = [at for at, row in after["events"].items() if at in before["events"] and row != before["events"][at]]
        unknown = [at for at in after["events"] if at not in before["events"] and at <= max(before["events"])]
        expect(not wrong and not unknown, f"other events at {wrong[:2]}, {unknown[:2]}")
        expect(newest > max(before["events"]), f"a new event at {newest}, though {max(before['events'])} was told")
        if after["refusal"]:
            # A start reads of a log what it needs; of what lies before that its readers find out.
            expect(status == 1, f"reading is refused ({after['refusal']}), and check ends with {status}: {said}")
            return "refused to its readers"
        lost = [name for name in ("keys", "events", "groups") if before[name] != after[name]]
        if not lost:
            return "nothing lost, told" if is_told else "nothing lost"
        warned = bool(server.warnings())
        expect(is_told and warned, f"{lost} differ; check told: {is_told}, the start warned: {warned}: {server.log()}")
        return "lost and told"


@case("flips")
def flips(run):
    """Random flips and cuts in every kind of file: no panic, nothing damaged accepted, no position twice, check agrees"""
    seed = run.arguments.seed
    rng, seen = random.Random(seed), collections.Counter()
    total = run.arguments.flips or (24 if run.short else 400)
    worlds = [(shards, is_killed) for shards in (1, 2, 3, 8) for is_killed in (False, True)]
    for shards, is_killed in worlds:
        try:
            world = Flips(run, rng, shards, is_killed, 300 if run.short else 3000)
            for _ in range(-(-total // len(worlds))):
                world.once()
        except AssertionError as error:
            raise AssertionError(f"--seed {seed}: {error}") from error
        seen += world.seen
        shutil.rmtree(world.base)
    return f"seed {seed}: " + ", ".join(f"{name} {count}" for name, count in sorted(seen.items()))
