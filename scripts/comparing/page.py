"""docs/benchmarks.md and its plots, and the facts without which figures mean nothing."""

import datetime
import os
import pathlib
import re
import statistics
import subprocess

from comparing import generator, tables
from comparing.peers import PEERS, ROOT, version

PAGE = ROOT / "docs" / "benchmarks.md"
# Of a section: what keytide-bench calls the plot, its file, and what it shows.
PLOTS = {
    "load": ("pipelines", PAGE.parent / "pipelines.svg", "SET: throughput by pipeline"),
    "latency": ("percentiles", PAGE.parent / "latency.svg", "SET: latency by percentile"),
}
LOAD_AT_START = os.getloadavg()[0]


def facts(args):
    """The machine and the versions."""
    cpu = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())
    try:
        words = ["git", "describe", "--always", "--dirty"]
        source = subprocess.run(words, cwd=ROOT, capture_output=True, text=True).stdout.strip() or "?"
    except OSError:
        source = "?"
    servers = [f"{PEERS[name].label} {version(*words)}" for name, words in args.programs.items()]
    servers += [f"{label} = {version(path)}" for label, path in args.binary]
    return [
        f"{datetime.date.today()}; {cpu[1] if cpu else 'unknown CPU'}, {os.cpu_count()} cores; "
        f"Linux {os.uname().release}; load average at the start {LOAD_AT_START:.2f}",
        f"{'; '.join(servers)}; source {source}",
    ]


def shown(args, found, form):
    """A section's tables as text, in `form`: markdown or text."""
    parts = []
    for table in found:
        rounds = f"{table.results.rounds} round{'s' if table.results.rounds > 1 else ''}"
        lines = [f"{table.settings}; {rounds}", *args.notes, *table.results.notes]
        if table is found[-1]:
            lines += facts(args)
        rows = tables.rows(table.name, table.results, table.unit, table.columns)
        parts.append(form(rows, lines))
    return "\n".join(parts)


def parts(section):
    """What stands before, with and behind the section's markers; ends the script where they are not there."""
    begin, end = f"<!-- {section}: written by scripts/compare -->\n", f"<!-- {section}: end -->"
    before, found, rest = PAGE.read_text().partition(begin)
    _, also_found, after = rest.partition(end)
    if not (found and also_found):
        raise SystemExit(f"scripts/compare: {PAGE} lacks the lines '{begin.strip()}' and '{end}'")
    return before, begin, end, after


def write(section, shown_text):
    """Puts it between the section's markers."""
    before, begin, end, after = parts(section)
    PAGE.write_text(before + begin + "\n" + shown_text + "\n" + end + after)


def plot(args, section, found):
    """Draws the section's plot, if it has one: of each server and case the run in the middle, of SET. Answers the
    markdown that shows it."""
    if section not in PLOTS:
        return ""
    kind, path, title = PLOTS[section]
    results, figure = found[0].results, "p99" if section == "latency" else "rate"
    reports = []
    for case in results.cases():
        if case.startswith("SET"):
            for label in results.labels(case):
                runs = [run for run in results.runs[case, label].values() if run.get(figure) is not None]
                if runs:
                    middle = statistics.median_low(run[figure] for run in runs)
                    reports.append(next(run["json"] for run in runs if run[figure] == middle))
    if not reports:
        return ""
    generator.plot(args, kind, path, reports)
    return f"\n![{title}]({path.name})\n"
