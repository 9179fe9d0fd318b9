"""Alternating rounds: every case on one server after the other, and these the other way round in every second round.

The machine's speed drifts, and what runs first finds other caches than what runs last; so no server always goes first,
and only runs of one round are compared.
"""

import dataclasses
import sys
from collections.abc import Callable

from comparing.results import Results
from comparing.servers import Failed


@dataclasses.dataclass(frozen=True)
class Run:
    """A measurement on a running server; `call` answers its figures."""

    case: str
    label: str
    role: str
    call: Callable[[], dict]


def measure(title, servers, prepare, rounds):
    """Starts the servers anew in each round; `prepare` fills one and answers its runs."""
    results, given_up = Results(), set()
    results.rounds = rounds
    for number in range(rounds):
        said = f"{title}, round {number + 1}/{rounds}"
        runs = []
        try:
            for server in servers:
                if server.label in given_up:
                    continue
                print(f"{said}: starting {server.label}", file=sys.stderr)
                try:
                    server.start()
                    runs += [(server, run) for run in prepare(server)]
                except (Failed, OSError) as error:
                    failed(results, server, f"{error}")
                    given_up.add(server.label)
                    server.stop()
            # One case after the other, each on all servers.
            order = list(dict.fromkeys(run.case for _, run in runs))
            runs = sorted(runs[:: -1 if number % 2 else 1], key=lambda pair: order.index(pair[1].case))
            for at, (server, run) in enumerate(runs, 1):
                if (run.case, run.label) in given_up or server.label in given_up:
                    continue
                print(f"{said}, {at}/{len(runs)}: {run.case}, {run.label}", file=sys.stderr)
                try:
                    results.add(run.case, run.label, run.role, number, run.call())
                except (Failed, OSError) as error:
                    end = server.end()
                    failed(results, server, f"{run.label}, {run.case}: {error}" + (f"; {end}" if end else ""))
                    # One that is gone would fail everything; one that lives may do the other cases.
                    given_up.add(server.label if end else (run.case, run.label))
        finally:
            for server in servers:
                server.stop()
    return results


def failed(results, server, line):
    line = line if line.startswith(server.label) else f"{server.label}: {line}"
    results.failed = results.failed or server.role in ("keytide", "no-ring", "memory")
    results.note(f"failed, and left out from then on: {line}")
    print(f"scripts/compare: {line}", file=sys.stderr)
