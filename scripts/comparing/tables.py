"""From results to rows of text, and those as markdown or for a terminal."""

import dataclasses

from comparing import targets

# What the head of a ratio calls its base.
BASES = {"newest": "newest", "redis": "redis-server", "others": "best other", "no-ring": "no ring", "own": "own shard's"}
BASES |= {"umadb": "UmaDB", "resp": "Redis protocol", "closed": "port closed"}
BASES |= {"memory": "in memory", "first": "first keytide"}


@dataclasses.dataclass(frozen=True)
class Value:
    """A column of a figure's medians."""

    head: str
    figure: str
    digits: int = 2
    spread: bool = False

    def cell(self, table, results, case, label):
        values = results.values(case, label, self.figure)
        if not values:
            return ""
        median, show = results.median(case, label, self.figure), f"{{:,.{self.digits}f}}".format
        cell = show(median)
        if self.spread:
            cell += f" ({show(min(values.values()))}–{show(max(values.values()))})"
        if results.roles[label] == "keytide":
            cell += targets.verdict(table, case, self.figure, None, median)
        return cell


@dataclasses.dataclass(frozen=True)
class Ratio:
    """A column of a figure over that of a base."""

    figure: str
    base: str
    head: str | None = None

    def cell(self, table, results, case, label):
        base = results.base(case, label, self.base, self.figure)
        value = results.ratio(case, label, base, self.figure) if base else None
        if value is None:
            return ""
        if base == label:
            return "1.00"
        cell = f"{value:.2f}"
        if self.base in ("newest", "others"):
            cell += f" {base}"
        if results.roles[label] == "keytide":
            cell += targets.verdict(table, case, self.figure, self.base, value)
        return cell


def rows(name, results, unit, columns):
    """Head and rows of the table `name`. A column in which no row has anything goes."""
    lines = []
    for case in results.cases():
        for place, label in enumerate(results.labels(case)):
            cells = [column.cell(name, results, case, label) for column in columns]
            lines.append([case if place == 0 else "", label, *cells])
    keep = [at for at in range(len(columns) + 2) if at < 2 or any(line[at] for line in lines)]
    head = [unit, "server", *(column.head or f"× {BASES[column.base]}" for column in columns)]
    return [[line[at] for at in keep] for line in [head, *lines]]


def markdown(table, lines):
    shown = [table[0], ["---", "---"] + ["---:"] * (len(table[0]) - 2), *table[1:]]
    return "\n".join(["| " + " | ".join(row) + " |" for row in shown] + [""] + [f"- {line}" for line in lines]) + "\n"


def text(table, lines):
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    pads = [str.ljust, str.ljust] + [str.rjust] * len(widths)
    shown = ["  ".join(pad(cell, width) for pad, cell, width in zip(pads, row, widths)).rstrip() for row in table]
    return "\n".join([*shown, "", *lines]) + "\n"
