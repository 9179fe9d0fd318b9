"""Servers that are attacked, and what the system knows of them."""

import os
import pathlib
import re
import select
import signal
import socket
import subprocess
import time

# Several servers run at a time, and none of them is asked for gRPC.
os.environ.setdefault("KEYTIDE_GRPC_PORT", "0")

READY_SECONDS = 120
END_SECONDS = 30


class NotStarted(Exception):
    """A server that does not start; the text is what it said."""

    def __init__(self, status, text):
        super().__init__(text)
        self.status, self.text = status, text


class Server:
    """A process that listens on `port`, and for TLS on `tls_port`."""

    def __init__(self, process, port, log_path, tls_port=None):
        self.process, self.port, self.log_path, self.tls_port = process, port, log_path, tls_port

    @property
    def pid(self):
        return self.process.pid

    def log(self):
        """What it has said on stderr, since it was started."""
        return pathlib.Path(self.log_path).read_text(errors="replace")

    def warnings(self):
        """The lines of its log, without the one that its shards share cores."""
        return [line for line in self.log().splitlines() if "share a core" not in line]

    def is_alive(self):
        return self.process.poll() is None

    def check(self):
        """It runs and has not panicked."""
        if not self.is_alive():
            raise AssertionError(f"the server has ended with {self.process.returncode}: {self.log()[-500:]}")
        if "panicked" in self.log():
            raise AssertionError(f"a panic: {self.log()[-500:]}")

    def end(self, how=signal.SIGTERM):
        """Ends it and returns its status; one that does not end is killed, which is a failure."""
        if self.is_alive():
            self.process.send_signal(how)
        try:
            return self.process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"the server does not end within {END_SECONDS} s of signal {how}") from None
        finally:
            if self.process.stdout:
                self.process.stdout.close()

    def stop(self):
        status = self.end()
        if status != 0:
            raise AssertionError(f"the server stopped with {status}: {self.log()[-500:]}")

    def kill(self):
        self.end(signal.SIGKILL)

    def resident_mib(self):
        text = pathlib.Path(f"/proc/{self.pid}/status").read_text()
        found = re.search(r"VmRSS:\s+(\d+) kB", text)
        return int(found[1]) / 1024 if found else 0.0

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))


def start_keytide(binary, flags, log_path, environment=None, before=None, wrapper=()):
    """Starts Keytide and waits until it is ready. `before` runs in the new process, `wrapper` is a command that becomes
    the one behind it."""
    if "--port" not in flags:
        flags = ["--port", "0", *flags]
    with open(log_path, "wb") as log:
        process = subprocess.Popen(
            [*wrapper, binary, *map(str, flags)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log,
            env={**os.environ, **(environment or {})}, preexec_fn=before,
        )
    if not select.select([process.stdout], [], [], READY_SECONDS)[0]:
        process.kill()
        process.wait()
        raise AssertionError(f"keytide is not ready after {READY_SECONDS} s")
    line = process.stdout.readline().decode()
    words = dict(word.split("=", 1) for word in line.split() if "=" in word)
    if "resp" not in words:
        process.stdout.close()
        raise NotStarted(process.wait(END_SECONDS), pathlib.Path(log_path).read_text(errors="replace"))
    tls_port = int(words["tls"].rpartition(":")[2]) if "tls" in words else None
    return Server(process, int(words["resp"].rpartition(":")[2]), log_path, tls_port)


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def start_redis(flags, log_path):
    port = free_port()
    words = ["redis-server", "--port", str(port), "--save", "", "--appendonly", "no", *map(str, flags)]
    with open(log_path, "wb") as log:
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return Server(process, port, log_path)
        except OSError:
            time.sleep(0.05)
    process.kill()
    raise AssertionError("redis-server does not answer")
