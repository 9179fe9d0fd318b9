"""What the runs gave, and the maths on it: medians over the rounds, and medians of the rounds' own ratios.

Roles of a server: `redis` (the baseline), `newest` (the newest Redis and Valkey), `other` (the other peers), `keytide`, `no-ring` (a keytide that records
nothing), `memory` (one that keeps nothing on disk, beside those that do), and of gRPC `umadb`, `resp` (a keytide over the
Redis protocol), `closed` (one without the port). What a ratio is over, its base, is named
likewise; `newest` is the better one of these, `others` of the `other`s, `first` the first keytide where several are compared.
"""

import statistics

# All other figures are the better the less they are.
MORE_IS_BETTER = {"rate", "per_cpu"}
# What stands behind a keytide's label where it is a base of its own.
BARE = {"no-ring": "no ring", "memory": "in memory"}


class Results:
    """Figures of each case and label, by round. A run that failed is not there."""

    def __init__(self):
        self.runs, self.roles, self.notes, self.rounds = {}, {}, [], 0
        # Whether one of Keytide's own runs failed.
        self.failed = False

    def add(self, case, label, role, number, figures):
        self.roles.setdefault(label, role)
        self.runs.setdefault((case, label), {})[number] = figures

    def take(self, others):
        """Adds the runs of others, of the same rounds."""
        for (case, label), runs in others.runs.items():
            for number, figures in runs.items():
                self.add(case, label, others.roles[label], number, figures)
        self.rounds, self.failed = others.rounds, self.failed or others.failed
        for line in others.notes:
            self.note(line)

    def only(self, is_wanted):
        """Those of the cases that are wanted."""
        found = Results()
        found.take(self)
        found.runs = {(case, label): runs for (case, label), runs in self.runs.items() if is_wanted(case)}
        return found

    def note(self, line):
        if line not in self.notes:
            self.notes.append(line)

    def cases(self):
        return list(dict.fromkeys(case for case, _ in self.runs))

    def labels(self, case):
        """Labels with figures in this case, each role's in the order in which they were measured first."""
        # Every second round has another order, and a server may fail in the first: so not by the order of the runs.
        return [label for label in self.roles if self.runs.get((case, label))]

    def values(self, case, label, figure):
        """By round."""
        runs = self.runs.get((case, label), {})
        return {number: run[figure] for number, run in runs.items() if run.get(figure) is not None}

    def median(self, case, label, figure):
        values = self.values(case, label, figure)
        return statistics.median(values.values()) if values else None

    def ratio(self, case, label, base_label, figure):
        """The median of the ratios of the rounds in which both were measured."""
        ours, theirs = self.values(case, label, figure), self.values(case, base_label, figure)
        ratios = [ours[number] / theirs[number] for number in ours if theirs.get(number)]
        return statistics.median(ratios) if ratios else None

    def base(self, case, label, base, figure):
        """The label that a ratio of this label is over; none where there is none."""
        labels = self.labels(case)
        if base == "first":
            keytides = [other for other in labels if self.roles[other] == self.roles[label]]
            same = self.roles[label] in ("keytide", "no-ring")
            return keytides[0] if same and len(keytides) > 1 else None
        if base in BARE:
            bare = f"{label}, {BARE[base]}"
            return bare if self.roles[label] == "keytide" and bare in labels else None
        role = {"others": "other"}.get(base, base)
        if base in ("newest", "others") and self.roles[label] not in ("keytide", "no-ring"):
            return None
        found = [other for other in labels if self.roles[other] == role]
        known = [(self.median(case, other, figure), other) for other in found]
        known = [pair for pair in known if pair[0] is not None]
        if not known:
            return None
        return (max if figure in MORE_IS_BETTER else min)(known, key=lambda pair: pair[0])[1]
