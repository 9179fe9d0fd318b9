"""Two servers for TLS only: one asks clients for certificates, the other demands them. In both, the common name of a
certificate is a user: `anna`, who may use keys that begin with `app:`. The others need a password."""

import hashlib
import os
import select
import subprocess

from connecting import certificates

READY_SECONDS = 60


class Process:
    """A server that runs. `ready` is what it has said, such as `resp`, `tls` and `grpc`."""

    def __init__(self, words, environment):
        environment = {**os.environ, "KEYTIDE_LOG_LEVEL": "error", **environment}
        self.process = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env=environment, text=True
        )
        if not select.select([self.process.stdout], [], [], READY_SECONDS)[0]:
            raise RuntimeError(f"{words[0]} is not ready after {READY_SECONDS} s")
        self.ready = dict(word.split("=", 1) for word in self.process.stdout.readline().split() if "=" in word)

    def check(self):
        if self.process.poll() is not None:
            raise RuntimeError(f"a server has ended with {self.process.returncode}")

    def end(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


class Servers:
    def __init__(self, binary, directory):
        self.binary, self.directory, self.processes = binary, directory, []
        certificates.authority(directory, "ca")
        certificates.authority(directory, "other-ca")
        for name in ("server", "anna", "nobody"):
            certificates.sign(directory, "ca", name)
        self.ports = [self.start(binary, whether) for whether in ("optional", "yes")]

    def start(self, binary, whether):
        path = lambda name: os.path.join(self.directory, name)
        user = f"anna on #{hashlib.sha256(b'pw').hexdigest()} ~app:* &* +@all -@dangerous"
        words = [
            binary, "--port", "0", "--tls-port", "0", "--shards", "2", "--ring-bytes", "1m", "--heap-bytes", "0",
            "--grpc-port", "0",
            "--tls-cert", path("server.crt"), "--tls-key", path("server.key"), "--tls-ca", path("ca.crt"),
            "--tls-auth-clients", whether, "--tls-auth-user", "cn", "--user", user,
        ]
        process = Process(words, {"KEYTIDE_REQUIREPASS": "secret"})
        self.processes.append(process)
        return int(process.ready["tls"].rpartition(":")[2])

    def environment(self):
        """What clients are told."""
        asking, demanding = map(str, self.ports)
        return {**os.environ, "CLIENT_DIR": self.directory, "CLIENT_PORT": asking, "CLIENT_PORT_DEMANDING": demanding}

    def check(self):
        """Both run."""
        for process in self.processes:
            process.check()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.processes:
            process.end()
