"""The table of docs/operations.md: the innocent client and the memory during each attack."""

import datetime
import os
import pathlib
import re
import subprocess

from attacking import trial
from attacking.hostile import ATTACKS

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "operations.md"
BEGIN, END = "<!-- attack: written by scripts/attack -->\n", "<!-- attack: end -->"
HEAD = [
    "attack", "p50 / p99 without", "during", "at its end", "redis-server, during", "memory before", "at the most",
    f"{trial.BACK_SECONDS} s after",
]


def rows(outcomes):
    """A row for each attack that was measured; `!` stands behind what is not as it has to be."""
    found = [HEAD]
    for name, (outcome, beside) in outcomes.items():
        attack = ATTACKS[name]
        slow = [trial.is_slow(attack, outcome, figures) for figures in (outcome.during, outcome.after)]
        grown = outcome.peak_mib - outcome.before_mib > outcome.grows_mib
        stays = outcome.after_mib - outcome.before_mib > trial.BACK_MIB
        found.append([
            attack.about, str(outcome.without), str(outcome.during) + " !" * slow[0],
            str(outcome.after) + " !" * slow[1],
            beside, f"{outcome.before_mib:,.0f}",
            f"{outcome.peak_mib:,.0f}" + " !" * grown, f"{outcome.after_mib:,.0f}" + " !" * stays,
        ])
    return found


def markdown(table, lines):
    shown = [table[0], ["---"] + ["---:"] * (len(table[0]) - 1), *table[1:]]
    return "\n".join(["| " + " | ".join(row) + " |" for row in shown] + [""] + [f"- {line}" for line in lines]) + "\n"


def facts(arguments):
    """How it was measured."""
    cpu = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())
    words = ["git", "describe", "--always", "--dirty"]
    source = subprocess.run(words, cwd=ROOT, capture_output=True, text=True).stdout.strip() or "?"
    return [
        "Latencies in ms of GET and SET at 1,000 per second in an open loop, from when each was due; memory: resident, MiB",
        f"{arguments.shards} shards, {arguments.seconds:g} s each; an attack that takes longer to set up is measured "
        "again when all of it is there, and the worse figures are shown",
        f"{datetime.date.today()}; {cpu[1] if cpu else 'unknown CPU'}, {os.cpu_count()} cores, attackers and the innocent "
        f"client on the same ones; Linux {os.uname().release}; source {source}",
    ]


def parts():
    """The page before and behind the table; ends the script where it has no place for it."""
    before, found, rest = PAGE.read_text().partition(BEGIN)
    _, also_found, after = rest.partition(END)
    if not (found and also_found):
        raise SystemExit(f"scripts/attack: {PAGE} lacks the lines '{BEGIN.strip()}' and '{END}'")
    return before, after


def write(text):
    before, after = parts()
    PAGE.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")
