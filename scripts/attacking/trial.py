"""One hostile attack, with the innocent client before, during and after it, and the server's memory."""

import dataclasses
import multiprocessing
import os
import resource
import threading
import time

from attacking import hostile_tls, innocent  # noqa: F401: importing the former lists its attacks
from attacking.cases import Case, add, expect
from attacking.exhaustion import BACK_MIB, BACK_SECONDS, wait_until_less
from attacking.hostile import ATTACKS
from attacking.server import free_port
from attacking.wire import Wire
from connecting import certificates

# The innocent client's p99 may be so many times its p99 without the attack, or so much, whichever is more.
P99_FACTOR = 5
P99_LEAST_US = 5_000
SET_UP_SECONDS = 90
END_AFTER_SECONDS = 0.2
# Beyond it the machine would suffer: the server is killed, and the attack has won.
KILLED_AT_MIB = 6_000
CONNECTIONS_MAX = 40_000


@dataclasses.dataclass
class Outcome:
    """What one attack has done to one server. Latencies are `innocent.Figures`, memory is in MiB."""

    without: innocent.Figures
    during: innocent.Figures
    after: innocent.Figures
    before_mib: float
    # What documented bounds allow it to grow by.
    grows_mib: float
    peak_mib: float
    after_mib: float


def allowed_us(without):
    return max(P99_FACTOR * without.p99, P99_LEAST_US)


def failures(attack, outcome, judges_time):
    """What of an outcome is not as it has to be."""
    found, grown = [], outcome.peak_mib - outcome.before_mib
    if grown > outcome.grows_mib:
        found.append(f"grew by {grown:.0f} MiB, {outcome.grows_mib:.0f} are allowed")
    stays = outcome.after_mib - outcome.before_mib
    if stays > BACK_MIB:
        found.append(f"{stays:.0f} MiB stay after {BACK_SECONDS} s")
    for when, figures in ("during", outcome.during), ("at its end", outcome.after):
        if figures.errors or figures.unanswered:
            found.append(f"{when}: {figures.errors} errors, {figures.unanswered} commands without a reply")
        if judges_time and is_slow(attack, outcome, figures):
            allowed = innocent.milliseconds(allowed_us(outcome.without))
            found.append(f"{when}: p99 {innocent.milliseconds(figures.p99)} ms, {allowed} are allowed")
    return found


def is_slow(attack, outcome, figures):
    """Whether the innocent client has waited longer than it may."""
    return not attack.is_long and figures.p99 > allowed_us(outcome.without)


class Attacker:
    """The process of an attack."""

    def __init__(self, attack, port, scale):
        context = multiprocessing.get_context("fork")
        self.is_ready = context.Event()
        self.process = context.Process(target=self.work, args=(attack, port, scale), daemon=True)
        self.process.start()

    def work(self, attack, port, scale):
        # Attackers have machines of their own: here they take only the time of the processors that the server leaves.
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
        try:
            attack.run(port, scale, self.is_ready.set)
        except OSError:
            # The server has ended its connections, which is one way to deal with it.
            self.is_ready.set()
            time.sleep(SET_UP_SECONDS)

    def end(self):
        """Ends it; its connections go all at once."""
        self.process.kill()
        self.process.join()


class Peak:
    """The most resident memory of a server, from now until it is asked for."""

    def __init__(self, server):
        self.server, self.most, self.is_over = server, server.resident_mib(), threading.Event()
        self.thread = threading.Thread(target=self.watch, daemon=True)
        self.thread.start()

    def watch(self):
        while not self.is_over.wait(0.05):
            try:
                self.most = max(self.most, self.server.resident_mib())
            except OSError:
                return
            if self.most > KILLED_AT_MIB:
                self.server.process.kill()

    def end(self):
        self.is_over.set()
        self.thread.join()
        return self.most


def worst(several):
    return max(several, key=lambda each: each.p99)


def try_on(run, server, attack):
    """Runs an attack against a server."""
    bench, seconds, scale = run.arguments.bench, run.arguments.seconds, 0.2 if run.short else 1.0
    with Wire(server.port, timeout=120) as wire:
        attack.prepare(wire, scale)
    without = innocent.measure(bench, server.port, seconds, fills=True)
    before_mib = server.resident_mib()
    attacker, peak = Attacker(attack, server.tls_port if attack.is_tls else server.port, scale), Peak(server)
    # What comes after is measured from its end on: the end of a hundred thousand subscriptions is an attack too.
    ending = threading.Timer(END_AFTER_SECONDS, attacker.end)
    try:
        during = [innocent.measure(bench, server.port, seconds)]
        # What takes long to set up is measured again when all of it is there.
        if not attacker.is_ready.is_set():
            expect(attacker.is_ready.wait(SET_UP_SECONDS), f"{attack.name} is not set up in {SET_UP_SECONDS} s")
            during.append(innocent.measure(bench, server.port, seconds))
        ending.start()
        after = innocent.measure(bench, server.port, seconds)
    except RuntimeError as error:
        raise AssertionError(f"{error}; {before_mib:.0f} MiB before, then up to {peak.end():.0f}") from None
    finally:
        ending.cancel()
        attacker.end()
        peak_mib = peak.end()
    is_over_s = time.monotonic() - seconds + END_AFTER_SECONDS
    if attack.clean:
        with Wire(server.port, timeout=120) as wire:
            attack.clean(wire)
        is_over_s = time.monotonic()
    after_mib = wait_until_less(server, before_mib + BACK_MIB, is_over_s + BACK_SECONDS - time.monotonic())
    return Outcome(without, worst(during), after, before_mib, may_grow_mib(attack, server), peak_mib, after_mib)


def may_grow_mib(attack, server):
    """How much a server may grow during an attack, as docs/operations.md says."""
    if not attack.is_unread:
        return attack.grows_mib
    with Wire(server.port, timeout=120) as wire:
        found = wire.ask("CONFIG", "GET", "clients-output-bytes")
    return attack.grows_mib + (int(found[1]) >> 20 if found else 0)


def tls_flags(run):
    """The flags of a server that has a port for TLS beside the plain one."""
    certificates.authority(run.directory, "ca")
    certificates.sign(run.directory, "ca", "server")
    files = ("--tls-cert", run.path("server.crt"), "--tls-key", run.path("server.key"))
    # With a port for TLS, port 0 would be none.
    return ("--port", free_port(), "--tls-port", "0", *files)


def handshakes(server):
    with Wire(server.port, timeout=120) as wire:
        lines = wire.ask("INFO", "stats").decode().splitlines()
    return next(line.partition(":")[2] for line in lines if line.startswith("tls_handshakes_total"))


def on_redis(run, attack):
    """What the attack does to redis-server, for a table: the innocent client's latencies in ms, or its end."""
    server = run.start_redis()
    try:
        return str(try_on(run, server, attack).during)
    except AssertionError:
        if server.is_alive():
            raise
        return f"ended at {KILLED_AT_MIB:,} MiB"


def hostile_case(attack):
    """An attack as a case. What it has measured goes to `run.arguments.outcomes`, for the table."""

    def run_it(run):
        server = run.start(*(tls_flags(run) if attack.is_tls else ()), *attack.flags)
        began = time.monotonic()
        outcome = try_on(run, server, attack)
        server.check()
        beside = ""
        if attack.in_redis and (run.arguments.redis or attack.is_long and not run.short):
            beside = on_redis(run, attack)
        run.arguments.outcomes[attack.name] = outcome, beside
        found = failures(attack, outcome, judges_time=not run.short)
        seen = f"p50 / p99 {outcome.without}, during {outcome.during}, after {outcome.after} ms; "
        seen += f"{outcome.before_mib:.0f}, {outcome.peak_mib:.0f}, {outcome.after_mib:.0f} MiB"
        if beside:
            seen += f"; redis-server during: {beside}"
        if attack.is_tls:
            seen += f"; {handshakes(server)} handshakes in {time.monotonic() - began:.0f} s"
        expect(not found, f"{'; '.join(found)} ({seen})")
        return seen

    return Case(f"client:{attack.name}", attack.about, run_it, attack.in_short)


for each in ATTACKS.values():
    add(hostile_case(each))

def allow_connections():
    """Raises this process's bound of descriptors as far as it may: attacks hold thousands of connections."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = CONNECTIONS_MAX if hard == resource.RLIM_INFINITY else min(hard, CONNECTIONS_MAX)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
