"""A server process: started on its cores, asked, watched from outside, and stopped whatever happens."""

import ctypes
import os
import pathlib
import re
import signal
import socket
import subprocess
import tempfile
import time

from comparing.peers import PEERS

START_SECONDS_MAX = 20
TICKS = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
LIBC = ctypes.CDLL(None)
PR_SET_PDEATHSIG = 1


class Failed(Exception):
    """A run or a server that failed, in one line."""


def child(cores):
    """For Popen's preexec_fn: on these cores, and killed with this process, however that ends."""

    def prepare():
        os.sched_setaffinity(0, cores)
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)

    return prepare


def environment():
    """Ours without what servers take for settings."""
    kept = {name: value for name, value in os.environ.items() if not re.match(r"(KEYTIDE|KEVY|KORA)_", name)}
    # Several servers run at a time, and none of them is asked for gRPC.
    return kept | {"KEYTIDE_GRPC_PORT": "0"}


def command(*words):
    words = [word if isinstance(word, bytes) else str(word).encode() for word in words]
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)


class Server:
    """A server; `words(port, directory)` start it. `role` says what tables compare it with: see results.py."""

    def __init__(self, label, role, cores, words):
        self.label, self.role, self.cores, self.words = label, role, set(cores), words
        self.process = self.socket = self.directory = None

    def start(self):
        for last in (False, False, True):
            try:
                return self.start_once()
            except Failed:
                # Its port may have been taken in between.
                self.stop()
                if last:
                    raise

    def start_once(self):
        self.directory = tempfile.TemporaryDirectory(prefix="keytide-compare-")
        self.launch()
        until = time.monotonic() + START_SECONDS_MAX
        while time.monotonic() < until and self.process.poll() is None:
            try:
                self.greet()
                return
            except OSError:
                time.sleep(0.02)
        raise Failed(f"{self.label} did not start: {self.end() or 'it does not answer'}")

    def launch(self, stdout=None):
        """Starts the process in its directory, on a port that was free just now."""
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]
        directory = pathlib.Path(self.directory.name)
        words = [str(word) for word in self.words(self.port, directory)]
        self.log = directory / "log"
        with self.log.open("wb") as log:
            try:
                self.process = subprocess.Popen(
                    words, stdin=subprocess.DEVNULL, stdout=stdout or log, stderr=log, cwd=directory,
                    env=environment(), preexec_fn=child(self.cores),
                )
            except OSError as error:
                raise Failed(f"{self.label} did not start: {error}") from None

    def greet(self):
        """Connects to it, and has an answer."""
        self.socket = self.connect()
        self.ask(b"")

    def stop(self):
        self.kill()
        if self.directory:
            self.directory.cleanup()
        self.directory = None

    def kill(self):
        """Ends the process as a crash would; what it has on disk stays."""
        if self.socket:
            self.socket.close()
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.process = self.socket = None

    def end(self):
        """How the process ended, with the last line it said; none if it runs."""
        if self.process is None:
            return "it is stopped"
        try:
            # Whoever sees that its connection is gone may be faster than the end of the process.
            code = self.process.wait(timeout=0.2)
        except subprocess.TimeoutExpired:
            return None
        how = f"ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
        said = re.sub(r"\x1b\[[0-9;]*m", "", self.log.read_text(errors="replace")).strip().splitlines()
        return f"{how}, last said: {said[-1][:200]}" if said else how

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port), timeout=30)

    def cpu_seconds(self):
        """CPU time of all its threads: to the nanosecond where the kernel counts so, else in clock ticks (10 ms)."""
        proc = pathlib.Path(f"/proc/{self.process.pid}")
        try:
            return sum(int((task / "schedstat").read_text().split()[0]) for task in (proc / "task").iterdir()) / 1e9
        except OSError:
            fields = (proc / "stat").read_text().rpartition(")")[2].split()
            return (int(fields[11]) + int(fields[12])) / TICKS

    def memory_bytes(self):
        """Resident memory."""
        return int(pathlib.Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * PAGE_BYTES

    def ask(self, request):
        """The bytes of the replies to a request; a PING behind it tells where they end."""
        self.socket.sendall(request + command("PING"))
        reply = bytearray()
        while not reply.endswith(b"+PONG\r\n"):
            more = self.socket.recv(1 << 20)
            if not more:
                raise ConnectionError(f"{self.label} closed the connection")
            reply += more
        if error := re.search(rb"(?:^|\r\n)-([^\r]*)", reply):
            raise Failed(f"{self.label}: {error[1].decode(errors='replace')}")
        return bytes(reply[:-7])


def peers(args, cores, workers=1, only=None):
    """The peers asked for, on these cores; those without workers only where there is one core."""
    found = []
    for name, program in args.programs.items():
        peer = PEERS[name]
        if (workers > 1 and not peer.scales) or (only and name not in only):
            continue

        def words(port, directory, peer=peer, program=program):
            return [*program, *peer.flags(port, workers, directory)]

        found.append(Server(peer.label, peer.role, cores, words))
    return found


# The default user as one whose every command is checked: the keys of the load are within the second pattern.
LIMITED = "default on nopass ~other:* ~key:* +@all -@dangerous"


def keytides(args, cores, shards=1, flags=("--spin-us", "0"), no_ring=False):
    """Each keytide asked for, on these cores; with `no_ring` also the variants that record nothing, and whose user is limited."""
    cores, found = sorted(cores), []
    for label, path in args.binary:
        common = [path, "--bind", "127.0.0.1", "--shards", shards, "--cores", ",".join(map(str, cores)), *flags]

        def words(port, directory, common=common):
            return [*common, "--port", port]

        def bare(port, directory, common=common):
            return [*common, "--port", port, "--ring-bytes", "0"]

        if "ring" in args.variants or not no_ring:
            found.append(Server(label, "keytide", cores, words))
        def of_user(port, directory, common=common):
            return [*common, "--port", port, "--user", LIMITED]

        if no_ring and "user" in args.variants:
            found.append(Server(f"{label}, user with patterns", "keytide", cores, of_user))
        if no_ring and "no-ring" in args.variants:
            found.append(Server(f"{label}, no ring", "no-ring", cores, bare))
    return found
