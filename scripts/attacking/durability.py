"""Cases about damaged files, power losses and other numbers of shards: what is lost is told, and no position stands for
two events."""

import glob
import os

from attacking.cases import case, expect
from attacking.server import NotStarted
from attacking.wire import Subscriber, Wire, fields, history

SMALL = "--ring-bytes", "1m", "--segment-bytes", "1m"
ANOTHER_BOOT = "9dcda0e2-ac33-4018-a094-8ac18595b59f"
# Messages of a subscription behind which a position is told.
TOLD = "cdc.event", "cdc.checkpoint", "cdc.caughtup"


def write(wire, prefix, count):
    replies = wire.ask_all(("SET", f"{prefix}{number}", f"value {number} " + "v" * 50) for number in range(count))
    expect(all(reply == b"OK" for reply in replies), f"SET: {[reply for reply in replies if reply != b'OK'][:1]}")


def segments(directory):
    return sorted(glob.glob(os.path.join(directory, "generation-*", "shard-*", "*.segment")))


def flip_in(path, text):
    """Flips a bit of the last place that has this text."""
    with open(path, "r+b") as file:
        at = file.read().rfind(text)
        expect(at >= 0, f"{path} has no {text}")
        file.seek(at)
        file.write(bytes([text[0] ^ 1]))


def head(wire):
    return fields(wire.ask("CDC.INFO"))["head_seq"]


@case("damage-before-the-end")
def damage_before_the_end(run):
    """A damaged record with valid ones behind it is no torn end: the start refuses, and check finds it"""
    for fsync in ("os", "always"):
        directory = run.path(f"damaged-{fsync}")
        flags = ("--dir", directory, "--fsync", fsync, *SMALL)
        server = run.start(*flags, shards=1)
        with Wire(server.port) as wire:
            write(wire, "k", 100)
            before, _ = history(wire)
        server.kill()
        flip_in(segments(directory)[0], b"value 50 ")
        status, said = run.keytide_check(directory)
        try:
            server = run.start(*flags, shards=1)
        except NotStarted as refused:
            for word in ("segment", "keytide check"):
                expect(word in refused.text, f"--fsync {fsync}: the refusal does not name {word!r}: {refused.text}")
            expect(status == 1, f"--fsync {fsync}: the start refuses, and check ends with {status}: {said}")
        else:
            check_told(server, before, status, said)
        status, said = run.keytide_check(directory, "--repair")
        expect(status == 0, f"--fsync {fsync}: check --repair ends with {status}: {said}")
        server = run.start(*flags, shards=1)
        check_no_position_twice(server, before)
        server.stop()
    return "refused with the remedy, repaired on request, no position twice"


def check_told(server, before, status, said):
    """A server that has started although records were lost behind others must have told, and be beyond them."""
    with Wire(server.port) as wire:
        kept = len(history(wire)[0])
    raise AssertionError(f"started with {kept} of {len(before)} events (check: {status}, {said[-200:]}): {server.log()}")


def check_no_position_twice(server, before):
    """New events have positions beyond all that were told, and who resumes gets them or is told of a gap."""
    told = {row[0]: row[1:4] for row in before}
    last = max(told)
    with Wire(server.port) as wire:
        write(wire, "new", 90)
        rows, _ = history(wire)
        twice = [row[0] for row in rows if row[0] in told and row[1:4] != told[row[0]]]
        expect(not twice, f"{len(twice)} positions stand for two events, the first is {twice[:1]}")
        later = [row for row in rows if row[1].startswith(b"new")]
        expect(len(later) == 90, f"of 90 new events {len(later)} are in the history")
        expect(later[0][0] > last, f"the first new event has position {later[0][0]}, the old ones go up to {last}")
    subscriber = Subscriber(server.port, "$all", "FROM", "POSITION", last)
    messages = subscriber.until("cdc.caughtup", "cdc.dropped")
    subscriber.close()
    new = sum(kind == "cdc.event" and words[1].startswith(b"new") for kind, words in messages)
    gap = any(kind in ("cdc.gap", "cdc.dropped") for kind, _ in messages)
    expect(new == 90 or gap, f"of 90 new events one who resumes at {last} is told {new}, and no gap")


@case("first-segment-emptied")
def first_segment_emptied(run):
    """A segment file of length 0 is told, not taken for an empty database"""
    directory = run.path("emptied")
    flags = ("--dir", directory, "--fsync", "always", *SMALL)
    server = run.start(*flags, shards=1)
    with Wire(server.port) as wire:
        write(wire, "k", 100)
        before = head(wire)
    server.kill()
    os.truncate(segments(directory)[0], 0)
    status, said = run.keytide_check(directory)
    try:
        server = run.start(*flags, shards=1)
    except NotStarted as refused:
        expect(status == 1, f"the start refuses ({refused.text}), and check ends with {status}: {said}")
        return "refused"
    with Wire(server.port) as wire:
        wire.ask("SET", "a", "1")
        size, after = wire.ask("DBSIZE"), head(wire)
    warned = bool(server.warnings())
    expect(warned and after > before, f"started with {size} keys; warned: {warned}; positions: {before}, then {after}")
    return "told"


@case("reader-over-a-power-loss")
def reader_over_a_power_loss(run):
    """A subscriber passes the place of a power loss; what is missing is told as a gap, and positions never go back"""
    directory, log = run.path("power"), []
    for source in ("$all", "k1"):
        flags = ("--dir", directory, *SMALL)
        server = run.start(*flags, shards=1, boot="11111111-1111-4111-8111-111111111111")
        with Wire(server.port) as wire:
            write(wire, "k", 100)
            position = history(wire)[0][-1][0]
        server.kill()
        server = run.start(*flags, shards=1, boot=ANOTHER_BOOT)
        with Wire(server.port) as wire:
            wire.ask("SET", "k1", "after the loss")
            goal = head(wire)
        for _ in range(6):
            # The recipe of docs/subscriptions.md: who is dropped goes on where the message says.
            start = ("POSITION", position) if source == "$all" else ("START",)
            subscriber = Subscriber(server.port, source, "FROM", *start)
            for kind, words in subscriber.until("cdc.caughtup", "cdc.dropped"):
                at = words[1] if kind in ("cdc.dropped", "cdc.gap") else words[0]
                if source == "$all":
                    expect(at >= position, f"{kind} tells {at}, behind {position}: {log}")
                    position = at - 1 if kind in ("cdc.dropped", "cdc.gap") else at
                log.append((source, kind, at))
            subscriber.close()
            if source != "$all" or position >= goal:
                break
        expect(source != "$all" or position >= goal, f"the position {goal} is not reached: {log}")
        server.stop()
    return f"{[each for each in log if each[1] != 'cdc.event']}"


@case("reboot-without-loss")
def reboot_without_loss(run):
    """Where nothing was lost nobody is told of a gap"""
    for fsync, how in (("always", "stop"), ("always", "kill"), ("os", "stop")):
        directory = run.path(f"reboot-{fsync}-{how}")
        flags = ("--dir", directory, "--fsync", fsync, *SMALL)
        server = run.start(*flags, boot="11111111-1111-4111-8111-111111111111")
        with Wire(server.port) as wire:
            write(wire, "k", 100)
            rows, _ = history(wire)
        getattr(server, how)()
        server = run.start(*flags, boot=ANOTHER_BOOT)
        with Wire(server.port) as wire:
            wire.ask("SET", "new", "1")
            page = fields(wire.ask("CDC.READ", rows[-1][0] + 1))
        subscriber = Subscriber(server.port, "$all", "FROM", "POSITION", rows[-1][0])
        kind, words = subscriber.next()
        subscriber.close()
        # One that was stopped in order has synced everything, whatever --fsync says.
        expect(kind == "cdc.event", f"--fsync {fsync}, {how}: a subscriber at the newest event is told {kind} {words}")
        expect(not page["gap"], f"--fsync {fsync}, {how}: CDC.READ at the newest event tells of a gap")
        server.stop()


@case("revisions-after-resharding")
def revisions_after_resharding(run):
    """After another number of shards and FLUSHALL a stream's revisions go on"""
    for number, (shards, command, absent) in enumerate(
        [(1, "FLUSHALL", False), (2, "DEL", False), (2, "FLUSHALL", False), (2, "FLUSHALL", True), (8, "FLUSHALL", False)]
    ):
        directory = run.path(f"revisions-{number}")
        flags = ("--dir", directory, *SMALL)
        server = run.start(*flags, shards=1)
        with Wire(server.port) as wire:
            wire.ask_all(("SET", "stream", value) for value in range(3))
            if absent:
                wire.ask("DEL", "stream")
        server.stop()
        server = run.start(*flags, shards=shards)
        with Wire(server.port) as wire:
            wire.ask(*(["DEL", "stream"] if command == "DEL" else [command]))
            wire.ask("SET", "stream", "new")
            revisions = [row[5] for row in history(wire)[0] if row[1] == b"stream"]
        expect(revisions == list(range(len(revisions))), f"1, then {shards} shards, {command}: revisions {revisions}")
        server.stop()
