"""The list of cases, and what a case may use: servers and files that end with it."""

import dataclasses
import itertools
import os
import shutil
import subprocess
import tempfile

from attacking.server import start_keytide, start_redis


class Skipped(Exception):
    """The case cannot run here; the text says what it needs."""


@dataclasses.dataclass(frozen=True)
class Case:
    """Something that must come out right. `run` raises AssertionError where it does not, and returns what it saw."""

    name: str
    about: str
    run: callable
    in_short: bool


CASES = {}


def case(name, in_short=True):
    """Makes a function a case. The first line of its docstring says what is tried."""

    def register(function):
        about = function.__doc__.strip().splitlines()[0]
        add(Case(name, about, function, in_short))
        return function

    return register


def add(made):
    if made.name in CASES:
        raise ValueError(f"two cases are called {made.name}")
    CASES[made.name] = made


class Run:
    """One run of one case."""

    def __init__(self, arguments):
        self.arguments, self.short, self.shards = arguments, arguments.short, arguments.shards
        self.directory = tempfile.mkdtemp(prefix="keytide-attack-", dir=arguments.scratch)
        self.servers, self.numbers = [], itertools.count()

    def path(self, name):
        return os.path.join(self.directory, name)

    def start(self, *flags, shards=None, environment=None, before=None, boot=None):
        """A Keytide with these flags, that finds `boot` as the number of the system's boot."""
        flags = ["--shards", shards or self.shards, *flags]
        log_path = self.path(f"server-{next(self.numbers)}.log")
        wrapper = self.with_boot(boot) if boot else ()
        server = start_keytide(self.arguments.server, flags, log_path, environment, before, wrapper)
        self.servers.append(server)
        return server

    def with_boot(self, boot):
        """What a command is put behind so that it finds this boot id: a mount that only it sees."""
        path = self.path("boot_id")
        with open(path, "w") as file:
            file.write(f"{boot}\n")
        words = ["unshare", "--mount", "sh", "-c", f'mount --bind {path} /proc/sys/kernel/random/boot_id && exec "$0" "$@"']
        tried = subprocess.run([*words, "cat", "/proc/sys/kernel/random/boot_id"], capture_output=True, text=True)
        if tried.stdout.strip() != boot:
            raise Skipped("needs the right to mount, so that a server finds another boot id: run it as root")
        return words

    def start_redis(self, *flags):
        server = start_redis(flags, self.path(f"redis-{next(self.numbers)}.log"))
        self.servers.append(server)
        return server

    def keytide_check(self, directory, *flags):
        """`keytide check` of a directory: its status and what it said."""
        done = subprocess.run(
            [self.arguments.server, "check", *flags, directory], capture_output=True, text=True, timeout=120
        )
        if "panicked" in done.stderr:
            raise AssertionError(f"keytide check panicked: {done.stderr[-500:]}")
        return done.returncode, done.stdout + done.stderr

    def close(self):
        for server in self.servers:
            if server.is_alive():
                server.process.kill()
                server.process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)


def expect(is_so, message):
    if not is_so:
        raise AssertionError(message)
