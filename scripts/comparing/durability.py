"""What it costs that history is on disk: SETs beside a server in memory and redis-server's append-only file, reading
from segments, and starting again after a crash. One table for each.

A server has a directory of its own in each round, on the file system of temporary files, and takes it along. Before
each run of SETs what earlier ones left to write is written, and the disk is left alone for a moment; the memory for the
run is at hand, see `free_memory`.
"""

import os
import pathlib
import select
import subprocess
import tempfile
import time

from comparing import free_memory, generator
from comparing.peers import PEERS
from comparing.results import Results
from comparing.rounds import Run, measure
from comparing.servers import TICKS, Failed, Server, command
from comparing.subscriptions import apart, lap, sizes, subscribe
from comparing.tables import Ratio, Value

# --fsync, redis-server's appendfsync, and the pipeline.
MODES = (("os", "no", 16), ("everysec", "everysec", 16), ("always", "always", 1))
# After a sync file systems go on, with discarding the blocks of removed files for one.
REST_SECONDS = 0.7
# Several times what the runs of a round write together.
FREE_BYTES_A_SECOND = 4 << 30
BLOCK = bytes(1 << 20)
SYNCS = 200
RECOVERY_SECONDS_MAX = 300
# So much history that no snapshot is taken unless it is asked for.
NO_SNAPSHOT = ("--snapshot-bytes", "64g")
MIB = 1 << 20


class OnDisk(Server):
    """A server that can be ended as by a crash, and started again on the same directory."""

    def restart(self):
        """Seconds from then on until it serves, on the clock and of CPU."""
        self.kill()
        began = time.monotonic()
        self.launch(stdout=subprocess.PIPE)
        with self.process.stdout as out:
            ready = select.select([out], [], [], RECOVERY_SECONDS_MAX)[0] and out.readline()
        if not ready:
            raise Failed(f"{self.label} did not start again: {self.end() or f'nothing in {RECOVERY_SECONDS_MAX} s'}")
        seconds, cpu = time.monotonic() - began, process_seconds(self)
        self.greet()
        return seconds, cpu


def process_seconds(server):
    """CPU time of the whole process: also of the threads that have ended, as those that recover."""
    fields = pathlib.Path(f"/proc/{server.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def memory(server):
    """Bytes by the kernel's names: VmHWM, VmRSS, RssAnon, RssFile."""
    lines = pathlib.Path(f"/proc/{server.process.pid}/status").read_text().splitlines()
    pairs = [line.split(":") for line in lines if line.endswith(" kB")]
    return {name: int(value.split()[0]) * 1024 for name, value in pairs}


def forget_peak(server):
    """VmHWM counts anew."""
    pathlib.Path(f"/proc/{server.process.pid}/clear_refs").write_text("5")


def flushes():
    """How often the device of the temporary files was asked to make writes durable; none if the kernel doesn't say."""
    device = os.stat(tempfile.gettempdir()).st_dev
    try:
        fields = pathlib.Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}/stat").read_text().split()
    except OSError:
        return None
    return int(fields[15]) if len(fields) > 15 else None


def commands_done(server):
    for line in server.ask(command("INFO", "stats")).split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name == b"total_commands_processed":
            return int(value)
    raise Failed(f"{server.label} does not count commands")


def sync_us():
    """Microseconds of a sync of 4 KiB into a file that is there already: the middle one."""
    taken = []
    with tempfile.TemporaryFile(prefix="keytide-compare-") as file:
        file.write(BLOCK)
        os.fsync(file.fileno())
        for number in range(SYNCS):
            os.pwrite(file.fileno(), BLOCK[:4096], number % 256 * 4096)
            began = time.monotonic()
            os.fdatasync(file.fileno())
            taken.append(time.monotonic() - began)
    return sorted(taken)[SYNCS // 2] * 1e6


def file_system():
    """That of the temporary files."""
    asked = ["findmnt", "-n", "-o", "FSTYPE", "-T", tempfile.gettempdir()]
    try:
        return subprocess.run(asked, capture_output=True, text=True, timeout=10).stdout.strip() or "?"
    except OSError:
        return "?"


def keytide(path, args, *flags):
    words = [path, "--bind", "127.0.0.1", "--shards", 1, "--cores", args.server_core, "--spin-us", 0, *flags]
    return lambda port, directory: [*words, "--port", port]


def keytide_on_disk(path, args, *flags):
    return lambda port, directory: [*keytide(path, args, *flags)(port, directory), "--dir", directory / "data"]


def redis_on_disk(program, appendfsync):
    words = [*program, "--bind", "127.0.0.1", "--save", "", "--appendonly", "yes", "--appendfsync", appendfsync]
    words += ["--auto-aof-rewrite-percentage", 0]
    return lambda port, directory: [*words, "--port", port, "--dir", directory]


def beside(args, fsync, appendfsync):
    """The servers of a mode, with the label and the role that each has in the table."""
    cores, found = {args.server_core}, []
    for name in [name for name in args.programs if PEERS[name].role in ("redis", "newest")]:
        label, words = PEERS[name].label, redis_on_disk(args.programs[name], appendfsync)
        found.append((Server(f"{label} appendfsync {appendfsync}", PEERS[name].role, cores, words), label))
    for label, path in args.binary:
        if fsync == "os":
            bare = f"{label}, in memory"
            found.append((Server(bare, "memory", cores, keytide(path, args)), bare))
        words = keytide_on_disk(path, args, "--fsync", fsync, *NO_SNAPSHOT)
        found.append((Server(f"{label} --fsync {fsync}", "keytide", cores, words), label))
    return found


def written(args, server, pipeline):
    """A run of SETs, with how many of them each sync served if each waited for one."""
    os.sync()
    time.sleep(REST_SECONDS)
    flags = [*generator.common(args), "--workload", "set", "--pipeline", pipeline]
    before, flushed = commands_done(server), flushes()
    found = generator.load(args, server, flags, {args.load_core}, args.seconds)
    flushed_after = flushes()
    if pipeline == 1 and flushed is not None and flushed_after > flushed:
        found["per_sync"] = (commands_done(server) - before) / (flushed_after - flushed)
    return found


def writing(args):
    results = Results()
    for fsync, appendfsync, pipeline in MODES:
        servers = beside(args, fsync, appendfsync)
        labels = {id(server): label for server, label in servers}

        def prepare(server, pipeline=pipeline, case=f"SET, pipeline {pipeline}, {fsync}", labels=labels):
            lap(args, server)
            return [Run(case, labels[id(server)], server.role, lambda: written(args, server, pipeline))]

        with free_memory.at_hand(args.seconds * FREE_BYTES_A_SECOND):
            results.take(measure(f"on disk, {fsync}", [server for server, _ in servers], prepare, args.rounds))
    columns = [
        Value("operations/s", "rate", 0),
        Ratio("rate", "memory"),
        Ratio("rate", "newest"),
        Ratio("rate", "redis"),
        Ratio("rate", "first"),
        Value("server CPU µs/op (min–max)", "cpu", 2, spread=True),
        Ratio("cpu", "memory"),
        Ratio("cpu", "newest"),
        Ratio("cpu", "redis"),
        Ratio("cpu", "first"),
        Value("operations/sync", "per_sync", 1),
        Value("load CPU µs/op", "load_cpu"),
    ]
    settings = (
        f"os: keytide --dir --fsync os, redis-server --appendonly yes --appendfsync no; everysec and always: both; "
        f"no snapshots, and no rewriting of the append-only file; "
        f"{args.connections} connections, {args.keys:,} keys, {args.value_bytes}-byte values; runs of {args.seconds:g} "
        f"s; {file_system()}, an fdatasync of 4 KiB takes {sync_us():,.0f} µs; operations/sync: over the flushes that "
        f"the device counted; {apart(args)}; keytide --spin-us 0; vm.percpu_pagelist_high_fraction "
        f"{free_memory.lists_fraction()}"
    )
    return "on disk", results, "Operations", columns, settings


def recovered(records, empty, full):
    """Figures of a start with so many records next to one without, each seconds on the clock and of CPU."""
    seconds, cpu = full[0] - empty[0], full[1] - empty[1]
    figures = {"seconds": full[0], "empty": empty[0], "cpu": cpu / records * 1e6}
    return figures | ({"rate": records / seconds / 1e6} if seconds > 0 else {})


def caught_up(found, before, after_part, after):
    """Figures of a reading of everything, with what it took of memory next to the reading of a tenth."""
    delivery = found["delivery"]
    figures = {f"{name}_{when}": at[name] / MIB for name in ("RssAnon", "RssFile") for when, at in (
        ("before", before), ("after", after),
    )}
    figures |= {"grown": (after["VmHWM"] - after_part["VmHWM"]) / MIB, "rate": found["rate"]}
    cpu = delivery["server_cpu_us_per_event"]
    figures["per_cpu"] = 1 / cpu if cpu else None
    missing = delivery["expected"] - delivery["events"] + delivery["missing"] + delivery["disordered"]
    return figures | {"cpu": cpu, "lost": missing, "peak": after["VmHWM"] / MIB, "peak_part": after_part["VmHWM"] / MIB}


def starting_and_reading(args):
    """Tables of recovery and of reading from segments: both need the same long history."""
    events = 1_000_000 if args.quick else 10_000_000
    cores = {args.server_core}

    def prepare(server):
        empty = []

        def recover():
            # The first start makes directories and the first segment; this one finds them, with nothing in them.
            empty.append(server.restart())
            flags = ["--keys", args.keys, "--value-bytes", args.value_bytes, "--pipeline", 128, "--connections", 8]
            generator.run(args, "load", server, [*flags, "--requests", events], {args.load_core}, 120)
            return recovered(events, empty[0], server.restart())

        def read(count):
            forget_peak(server)
            flags = ["--kind", "keytide", "--from", "start", "--events", count, *sizes(args)]
            return subscribe(args, server, flags, 60), memory(server)

        def catch_up():
            before = memory(server)
            _, after_part = read(events // 10)
            found, after = read(events)
            return caught_up(found, before, after_part, after)

        def recover_from_snapshot():
            server.ask(command("SAVE"))
            return recovered(args.keys, empty[0], server.restart())

        cases = [(f"{events:,} records", recover), (f"{events:,} events", catch_up)]
        if b"save" in server.ask(command("COMMAND", "INFO", "save")).lower():
            cases.append((f"a snapshot of {args.keys:,} keys", recover_from_snapshot))
        return [Run(case, server.label, server.role, call) for case, call in cases]

    servers = []
    for label, path in args.binary:
        servers.append(OnDisk(label, "keytide", cores, keytide_on_disk(path, args, *NO_SNAPSHOT)))
    found = measure("segments", servers, prepare, args.rounds)
    reading = found.only(lambda case: case.endswith("events"))
    recovery = found.only(lambda case: not case.endswith("events"))
    columns = [
        Value("s until it serves", "seconds"),
        Value("with an empty directory", "empty"),
        Value("millions a second", "rate"),
        Value("CPU µs each (min–max)", "cpu", 2, spread=True),
    ]
    settings = (
        f"SETs over {args.keys:,} keys with {args.value_bytes}-byte values, then SIGKILL; from the start of the "
        f"process to its ready line; millions a second and CPU: without what an empty directory takes; the log is in the page "
        f"cache; one shard on core {args.server_core}"
    )
    starting = "starting", recovery, "Starting with", columns, settings
    columns = [
        Value("events/s", "rate", 0),
        Value("server CPU µs/event (min–max)", "cpu", 3, spread=True),
        Value("million events per CPU second", "per_cpu"),
        Value("not received", "lost", 0),
        Value("anonymous MiB before", "RssAnon_before", 0),
        Value("after", "RssAnon_after", 0),
        Value("file MiB before", "RssFile_before", 0),
        Value("after", "RssFile_after", 0),
        Value("peak MiB of a tenth", "peak_part", 0),
        Value("of all", "peak", 0),
        Value("more", "grown", 1),
    ]
    settings = (
        f"one subscriber FROM START; the server was started again, so nothing is in its ring; first a tenth of the "
        f"events are read, then all; memory is resident, file pages are those of mapped segments; {apart(args)}"
    )
    return starting, ("segments", reading, "Catching up from segments", columns, settings)


def measured(args):
    """For tables: name, results, unit, columns, settings of each."""
    return [writing(args), *starting_and_reading(args)]
