"""The innocent client: GET and SET at 1,000 per second in an open loop, whatever the server does, by keytide-bench."""

import dataclasses
import functools
import json
import math
import subprocess

RATE, CONNECTIONS, KEYS = 1000, 4, 1000
# Beyond the time of a run: keytide-bench itself waits ten seconds for replies that are due.
GRACE_SECONDS = 60


@dataclasses.dataclass(frozen=True)
class Figures:
    """Of one run, in microseconds. What never came counts with its age."""

    p50: float
    p99: float
    longest: float
    unanswered: int
    errors: int

    def __str__(self):
        return f"{milliseconds(self.p50)} / {milliseconds(self.p99)}"


def milliseconds(micros):
    """For a table: three digits."""
    if math.isinf(micros):
        return "no reply"
    millis = micros / 1000
    return f"{millis:.2f}" if millis < 10 else f"{millis:.1f}" if millis < 100 else f"{millis:,.0f}"


@functools.cache
def ahead_of_others():
    """Words that put a command before all others on its cores, so that it measures the server and not itself."""
    words = ["chrt", "--fifo", "10"]
    try:
        return words if subprocess.run([*words, "true"], capture_output=True).returncode == 0 else []
    except OSError:
        return []


def measure(bench, port, seconds, fills=False):
    """Runs it for so long. Where the server is gone that is a RuntimeError."""
    words = [
        *ahead_of_others(), bench, "load", "--addr", f"127.0.0.1:{port}", "--workload", "mixed", "--set-share", "0.5",
        "--rate", RATE, "--connections", CONNECTIONS, "--pipeline", 4 * RATE, "--keys", KEYS, "--value-bytes", 16,
        "--seconds", seconds, "--wait", "sleep", "--progress", "never", "--json", "-", *(["--fill"] if fills else []),
    ]
    done = subprocess.run(
        [str(word) for word in words], stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=seconds + GRACE_SECONDS,
    )
    if "no command was answered" in done.stderr:
        return Figures(math.inf, math.inf, math.inf, int(RATE * seconds), 0)
    if done.returncode:
        raise RuntimeError(f"the innocent client ended: {done.stderr.strip().splitlines()[-1:]}")
    return figures(json.loads(done.stdout))


def figures(report):
    latency = report["latency_us"]
    return Figures(latency["p50"], latency["p99"], latency["max"], report["unanswered"], report["errors"])
