"""The server that is killed, and connections to it that may end at any moment."""

import os
import select
import signal
import socket
import subprocess
import time

# Several servers run at a time, and none of them is asked for gRPC.
os.environ.setdefault("KEYTIDE_GRPC_PORT", "0")

READY_SECONDS = 60
SOCKET_TIMEOUT = 30


class Wire:
    """A bare RESP2 connection. Its end is a ConnectionError, an error reply a ValueError."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=SOCKET_TIMEOUT)
        self.input = self.socket.makefile("rb", 1 << 16)

    def send(self, *words):
        words = [word if isinstance(word, bytes) else str(word).encode() for word in words]
        self.socket.sendall(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(w), w) for w in words))

    def ask(self, *words):
        self.send(*words)
        return self.read()

    def read(self):
        line = self.input.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("the connection has ended")
        kind, text = line[:1], line[1:-2]
        if kind == b":":
            return int(text)
        if kind == b"$":
            if text == b"-1":
                return None
            data = self.input.read(int(text) + 2)
            if len(data) < int(text) + 2:
                raise ConnectionError("the connection has ended")
            return data[:-2]
        if kind == b"*":
            return None if text == b"-1" else [self.read() for _ in range(int(text))]
        if kind == b"+":
            return text
        raise ValueError(text.decode(errors="replace"))

    def close(self):
        self.socket.close()


class Server:
    """One server after the other on one directory."""

    def __init__(self, arguments, directory):
        self.command = [arguments.server, "--port", "0", "--shards", str(arguments.shards),
                        "--ring-bytes", arguments.ring_bytes,
                        # Small, so that subscribers fall behind and read what the rings no longer have.
                        "--subscription-queue-events", "100"]
        if not arguments.without_crashes:
            self.command += ["--dir", directory, "--fsync", arguments.fsync, "--segment-bytes", arguments.segment_bytes,
                             "--snapshot-bytes", arguments.snapshot_bytes]
        self.process, self.port, self.ready_seconds = None, None, []

    def spawn(self):
        self.process = subprocess.Popen(self.command, stdout=subprocess.PIPE)

    def start(self):
        self.spawn()
        began = time.time()
        if not select.select([self.process.stdout], [], [], READY_SECONDS)[0]:
            raise AssertionError(f"keytide is not ready after {READY_SECONDS} seconds")
        line = self.process.stdout.readline().decode()
        words = dict(word.split("=", 1) for word in line.split() if "=" in word)
        if "resp" not in words:
            raise AssertionError(f"keytide does not start; it says {line!r} and ends with {self.process.wait(10)}")
        self.ready_seconds.append(time.time() - began)
        self.port = int(words["resp"].rpartition(":")[2])
        return self.port

    def start_in_vain(self, seconds):
        """A start that is killed before, or soon after, it is ready."""
        self.spawn()
        time.sleep(seconds)
        self.kill()

    def check_alive(self):
        if self.process.poll() is not None:
            raise AssertionError(f"the server has ended with {self.process.returncode}")

    def kill(self):
        self.end(signal.SIGKILL, -signal.SIGKILL)

    def stop(self):
        self.end(signal.SIGTERM, 0)

    def end(self, how, expected):
        self.process.send_signal(how)
        ended = self.process.wait(30)
        self.process.stdout.close()
        if ended != expected:
            raise AssertionError(f"the server ended with {ended} where {expected} was expected")
