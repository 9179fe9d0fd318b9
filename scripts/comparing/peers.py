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


@dataclasses.dataclass(frozen=True)
class Peer:
    """A server to compare with. `flags` are those for a port, a number of workers and its directory."""

    label: str
    program: str
    flags: Callable[[int, int, pathlib.Path], list]
    # One that has no workers can't be on two cores.
    scales: bool = True
    # The baseline of a table, rather than one of "the others".
    baseline: bool = False
    # Where it comes from: a crate in this version, or a package of Debian.
    crate: str | None = None
    version: str | None = None
    package: str | None = None


PEERS = {
    "redis": Peer(
        "redis-server",
        "redis-server",
        lambda port, workers, directory: ["--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"],
        scales=False,
        baseline=True,
        package="redis-server",
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
    """Its program's path, installed if need be."""
    if path := which(peer):
        return path
    if peer.crate:
        steps = [["cargo", "install", "--root", str(INSTALLED), peer.crate, "--version", peer.version, "--locked"]]
    elif os.geteuid() == 0 and shutil.which("apt-get"):
        steps = [["apt-get", "update", "-q"], ["apt-get", "install", "-qy", "--no-install-recommends", peer.package]]
    else:
        raise Missing(f"it is not there: install Debian's {peer.package}")
    for words in steps:
        print(f"{peer.label} is not there, so that it is: {' '.join(words)}", file=sys.stderr)
        try:
            quiet = {"stdin": subprocess.DEVNULL, "stdout": sys.stderr}
            code = subprocess.run(words, cwd=ROOT, timeout=INSTALL_SECONDS_MAX, **quiet).returncode
        except (OSError, subprocess.TimeoutExpired) as error:
            raise Missing(f"it cannot be installed: {error}") from None
        if code:
            raise Missing(f"`{' '.join(words)}` failed")
    if path := which(peer):
        return path
    raise Missing(f"{peer.program} is not there after its installation")


def which(peer):
    # A crate's version is fixed, so one that happens to be on the PATH won't do.
    return shutil.which(peer.program, path=str(INSTALLED / "bin") if peer.crate else None)


def version(program):
    """What `program --version` says of itself."""
    try:
        done = subprocess.run([str(program), "--version"], capture_output=True, text=True, timeout=10, cwd="/")
    except (OSError, subprocess.TimeoutExpired):
        return "?"
    found = re.search(r"\d+\.\d+\.\d+\S*", done.stdout)
    return found[0] if found else "?"
