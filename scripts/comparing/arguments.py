"""The command line, and what it needs: binaries built or found, peers installed, cores there."""

import argparse
import os
import pathlib
import shutil
import subprocess
import sys

from comparing import peers
from comparing.peers import PEERS, ROOT
from comparing.sections import SECTIONS

VARIANTS = ("ring", "no-ring", "user")
VARIANTS_DEFAULT = ("ring", "no-ring")


def parser(description):
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--sections", default=",".join(SECTIONS), metavar="LIST", help="what to measure [%(default)s]")
    add("--peers", default=",".join(PEERS), metavar="LIST", help="servers beside it, or none [%(default)s]")
    add("--binary", action="append", metavar="LABEL=PATH", help="a keytide; repeatable [the one built here]")
    add("--bench-binary", metavar="PATH", help="the keytide-bench that makes the load [the one built here]")
    add("--variants", default=",".join(VARIANTS_DEFAULT), metavar="LIST", help="keytide in load: ring, no-ring, user (one with patterns of keys) [%(default)s]")
    add("--rounds", type=int, metavar="N", help="how often everything is measured [5; 2 with --quick]")
    add("--seconds", type=float, metavar="S", help="length of a run in load; others follow [1.5; 0.2 if quick]")
    add("--connections", type=int, default=50, metavar="N", help="connections [50]")
    add("--keys", type=int, default=100_000, metavar="N", help="keys, all there from the start [100000]")
    add("--value-bytes", type=int, default=64, metavar="N", help="bytes of a value [64]")
    add("--events", type=int, default=200_000, metavar="N", help="events in the history that is read [200000]")
    add("--count", type=int, default=1000, metavar="N", help="events asked for at once [1000]")
    add("--passes", type=int, metavar="N", help="readings of the whole history in a run [20; 4 with --quick]")
    add("--memory-keys", type=int, metavar="N", help="keys in memory [1000000; 100000 with --quick]")
    add("--idle-seconds", type=float, metavar="S", help="how long idle servers are watched [10; 1 with --quick]")
    add("--server-core", type=int, default=0, metavar="CORE", help="core of the servers [0]")
    add("--load-core", type=int, default=1, metavar="CORE", help="core of the load; with two shards, both [1]")
    add("--quick", action="store_true", help="a look, in about three minutes")
    add("--markdown", action="store_true", help="print markdown")
    add("--write", action="store_true", help="put tables and plots into docs/ too")
    return parser


def arguments(description):
    """The arguments, ready to measure with: `binary` has labels and paths, `programs` the peers' paths by name."""
    asked = parser(description)
    args = asked.parse_args()
    args.rounds = args.rounds or (2 if args.quick else 5)
    args.seconds = args.seconds or (0.2 if args.quick else 1.5)
    args.passes = args.passes or (4 if args.quick else 20)
    args.memory_keys = args.memory_keys or (100_000 if args.quick else 1_000_000)
    args.idle_seconds = args.idle_seconds or (1 if args.quick else 10)
    args.sections = names(asked, "--sections", args.sections, SECTIONS)
    args.peers = [] if args.peers == "none" else names(asked, "--peers", args.peers, PEERS)
    args.variants = names(asked, "--variants", args.variants, VARIANTS)
    for flag in ("rounds", "seconds", "connections", "keys", "events", "count", "passes", "idle_seconds", "memory_keys"):
        if getattr(args, flag) <= 0:
            asked.error(f"--{flag.replace('_', '-')}: more than 0")
    if missing := {args.server_core, args.load_core} - os.sched_getaffinity(0):
        asked.error(f"core {missing.pop()} is not one that this process may use: see --server-core and --load-core")
    if args.server_core == args.load_core:
        asked.error("server and load need a core each")
    args.binary = [entry.rpartition("=")[::2] for entry in args.binary or []]
    args.binary = [(label or pathlib.Path(path).name, path) for label, path in args.binary]
    labels = [label for label, _ in args.binary] + [PEERS[name].label for name in args.peers]
    if len(set(labels)) < len(labels):
        asked.error("two servers have the same label: see --binary")
    build(args)
    args.binary = [(label, program(asked, path)) for label, path in args.binary]
    args.bench_binary = program(asked, args.bench_binary)
    args.programs, args.notes = {}, []
    for name in args.peers:
        try:
            args.programs[name] = peers.find(PEERS[name])
        except peers.Missing as missing:
            args.notes.append(f"without {PEERS[name].label}: {missing}")
            print(f"scripts/compare: {args.notes[-1]}", file=sys.stderr)
    return args


def names(asked, flag, value, known):
    """Those of a list, in the order of those known."""
    given = [name for name in value.split(",") if name]
    if unknown := [name for name in given if name not in known]:
        asked.error(f"{flag} {unknown[0]}: {', '.join(known)} are known")
    if not given:
        asked.error(f"{flag}: none given")
    return [name for name in known if name in given]


def build(args):
    """Builds what was not given."""
    packages = ([] if args.binary else ["keytide"]) + ([] if args.bench_binary else ["keytide-bench"])
    if not packages:
        return
    words = ["cargo", "build", "--release", *(word for package in packages for word in ("-p", package))]
    print(" ".join(words), file=sys.stderr)
    try:
        code = subprocess.run(words, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=sys.stderr).returncode
    except OSError as error:
        sys.exit(f"scripts/compare: {error}; give --binary and --bench-binary, or install cargo")
    if code:
        sys.exit(f"scripts/compare: {' '.join(words)} failed")
    # Relative to the directory in which cargo ran.
    built = ROOT / (os.environ.get("CARGO_TARGET_DIR") or "target") / "release"
    args.binary = args.binary or [("keytide", built / "keytide")]
    args.bench_binary = args.bench_binary or built / "keytide-bench"


def program(asked, path):
    """Its absolute path: servers run in directories of their own."""
    found = shutil.which(str(path))
    if not found:
        asked.error(f"{path} is no program")
    return str(pathlib.Path(found).resolve())
