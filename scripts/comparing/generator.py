"""Runs of keytide-bench, the load generator: the same for every server."""

import json
import os
import pathlib
import subprocess
import tempfile

from comparing.servers import Failed, child

# Beyond what a run is asked to take.
GRACE_SECONDS = 30
WARMUP_SECONDS = 0.1


def load(args, server, flags, cores, seconds):
    """A run of `keytide-bench load` for so long."""
    flags = ["--seconds", seconds, "--warmup-seconds", WARMUP_SECONDS, *flags]
    return run(args, "load", server, flags, cores, seconds)


def fill(args, server, workload, cores):
    """Writes every key that the workload uses."""
    flags = ["--fill-only", *common(args), "--workload", workload]
    run(args, "load", server, flags, cores, 0)


def common(args, connections=None):
    return ["--keys", args.keys, "--value-bytes", args.value_bytes, "--connections", connections or args.connections]


def run(args, kind, server, flags, cores, seconds):
    """The figures of one run: those of its JSON by short names, and the whole of it as `json`."""
    with tempfile.TemporaryDirectory(prefix="keytide-compare-") as directory:
        out = pathlib.Path(directory) / "run.json"
        words = [args.bench_binary, kind, "--addr", f"127.0.0.1:{server.port}", "--server-pid", server.process.pid]
        words += ["--json", out, "--progress", "never", "--label", server.label, *flags]
        words = [str(word) for word in words]
        try:
            done = subprocess.run(
                words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds + GRACE_SECONDS,
                preexec_fn=child(cores), cwd=directory,
            )
        except subprocess.TimeoutExpired:
            # So that it does not take as long with each further run.
            server.process.kill()
            raise Failed(f"no end after {seconds + GRACE_SECONDS:.0f} s, so it was killed") from None
        if done.returncode:
            said = done.stderr.strip().splitlines() or [f"keytide-bench ended with code {done.returncode}"]
            raise Failed(said[-1])
        if not out.exists():
            return {}
        return figures(json.loads(out.read_text()))


def figures(report):
    found = {"rate": report["rate"], "json": report}
    found |= {"cpu": report.get("server_cpu_us_per_op"), "load_cpu": report.get("load_cpu_us_per_op")}
    found |= {"cpu_share": report.get("server_cpu_share"), "load_share": report.get("load_cpu_share")}
    return found | (report.get("latency_us") or {})


def plot(args, kind, path, reports):
    """Draws runs; labels are those of the reports."""
    with tempfile.TemporaryDirectory(prefix="keytide-compare-") as directory:
        files = []
        for number, report in enumerate(reports):
            files.append(os.path.join(directory, f"{number:03}.json"))
            pathlib.Path(files[-1]).write_text(json.dumps(report))
        words = [args.bench_binary, "plot", "--out", path, kind, *files]
        done = subprocess.run([str(word) for word in words], capture_output=True, text=True, timeout=GRACE_SECONDS)
        if done.returncode:
            raise Failed(f"keytide-bench plot {kind}: {done.stderr.strip()}")
