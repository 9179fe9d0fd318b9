"""What Keytide wants to reach, beside which server. Tables print it next to the figure.

A target is for rows of Keytide with its ring. A case is matched as by a shell. A target without a base is for the
figure itself.
"""

import fnmatch
import operator

AT_MOST, AT_LEAST, LESS = "≤", "≥", "<"
# Decimals that are printed of a figure, where it is not two.
DECIMALS = {"kept": 3}
HOLDS = {AT_MOST: operator.le, AT_LEAST: operator.ge, LESS: operator.lt}

# Bytes, over the leaner one of the newest Redis and Valkey.
MEMORY = [
    ("16-byte string", 0.95), ("64-byte string", 0.95), ("64-byte string with a TTL", 0.86), ("hash of 5 fields", 0.82),
    ("set of 10 integers", 0.87), ("list of 10 elements", 0.92), ("sorted set of 10", 0.9),
    ("a field of one hash", 0.98), ("a member of one sorted set", 1.0),
]

# table, case, figure, base, sign, bound
TARGETS = [
    ("load", "*, pipeline 1", "rate", "redis", AT_LEAST, 1.0),
    ("load", "*, pipeline 1", "rate", "others", AT_LEAST, 1.0),
    ("load", "*, pipeline 1", "cpu", "redis", AT_MOST, 1.0),
    ("load", "*, pipeline 1", "cpu", "others", AT_MOST, 1.0),
    ("load", "*, pipeline 16", "cpu", "redis", AT_MOST, 0.5),
    ("load", "*, pipeline 16", "cpu", "others", AT_MOST, 0.85),
    ("load", "*, pipeline 64", "cpu", "redis", AT_MOST, 0.4),
    ("load", "*, pipeline 64", "cpu", "others", AT_MOST, 0.75),
    ("load", "SET, pipeline 16", "rate", "no-ring", AT_LEAST, 0.95),
    # Measured before values were stored in one block with their keys: no change may make it worse.
    *[("load", f"SET, pipeline {n}", "cpu", "newest", AT_MOST, bound) for n, bound in ((1, 0.82), (16, 0.61), (64, 0.32))],
    *[("load", f"GET, pipeline {n}", "cpu", "newest", AT_MOST, bound) for n, bound in ((1, 0.94), (16, 0.70), (64, 0.45))],
    *[("workloads", f"{name}, *", "cpu", "newest", AT_MOST, 0.7) for name in ("INCR", "LPUSH", "LPUSH and LPOP", "HSET", "HGET", "SADD and SREM")],
    *[("memory", case, "bytes", "newest", AT_MOST, bound) for case, bound in MEMORY],
    ("memory", "*removed", "left", None, AT_MOST, 2.0),
    *[("latency", "*", figure, "redis", AT_MOST, 1.0) for figure in ("p50", "p99", "p99_9")],
    *[("latency", "*", figure, "others", AT_MOST, 1.0) for figure in ("p50", "p99", "p99_9")],
    ("parked", "*", "p50", "redis", AT_MOST, 1.1),
    ("reading", "*", "cpu", "redis", AT_MOST, 0.5),
    ("two", "*", "rate", "others", AT_LEAST, 1.0),
    ("two", "*", "cpu", "others", AT_MOST, 0.9),
    ("lanes", "*", "cpu", "own", AT_MOST, 1.5),
    ("idle", "*", "share", None, LESS, 1.0),
    ("filters", "10,000 prefixes", "kept", None, AT_LEAST, 0.8),
    ("filters", "1,000 *regexes", "kept", None, AT_LEAST, 0.5),
    ("growing", "*", "growth", None, AT_MOST, 3.0),
    ("adding", "*", "longer", None, AT_MOST, 1000.0),
    ("everything", "*", "per_cpu", "redis", AT_LEAST, 3.0),
    ("everything", "*", "lost", None, AT_MOST, 0.0),
    *[("pushing", "*", figure, "redis", AT_MOST, 1.0) for figure in ("p50", "p99", "p99_9")],
    ("catching up", "*", "cpu", "redis", AT_MOST, 0.4),
    ("catching up", "*", "lost", None, AT_MOST, 0.0),
    ("on disk", "*, os", "rate", "memory", AT_LEAST, 0.85),
    ("on disk", "*, os", "rate", "redis", AT_LEAST, 2.0),
    ("on disk", "*, everysec", "rate", "redis", AT_LEAST, 2.0),
    ("on disk", "*, always", "rate", "redis", AT_LEAST, 1.5),
    # Millions a second.
    ("starting", "* records", "rate", None, AT_LEAST, 1.0),
    ("segments", "*", "per_cpu", None, AT_LEAST, 1.0),
    ("grpc subscribers", "1 *", "per_cpu", "umadb", AT_LEAST, 3.0),
    ("grpc subscribers", "100 *", "per_cpu", "umadb", AT_LEAST, 5.0),
    ("grpc subscribers", "1 *", "cpu", "resp", AT_MOST, 1.9),
    ("grpc appends", "*", "rate", "umadb", AT_LEAST, 2.0),
    ("grpc appends", "1 writer,*", "p50", "umadb", AT_MOST, 1.0),
    ("grpc groups", "*", "cpu", "resp", AT_MOST, 3.0),
    ("grpc port", "*", "rate", "closed", AT_LEAST, 0.98),
    ("grpc port", "*", "cpu", "closed", AT_MOST, 1.02),
    # MiB: about a segment more or less is mapped at a time.
    ("segments", "*", "grown", None, AT_MOST, 64.0),
    ("segments", "*", "lost", None, AT_MOST, 0.0),
]


def judge(table, case, figure, base, value):
    """The target of a figure in words, and whether it holds; none if it has none."""
    for of_table, pattern, of_figure, of_base, sign, bound in TARGETS:
        if (of_table, of_figure, of_base) == (table, figure, base) and fnmatch.fnmatchcase(case, pattern):
            # As it is printed, so that no reader sees "1.00 ≤ 1.00 missed".
            return f"{sign} {bound:g}", HOLDS[sign](round(value, DECIMALS.get(figure, 2)), bound)
    return None


def verdict(table, case, figure, base, value):
    """What to print behind a figure."""
    found = judge(table, case, figure, base, value)
    return f" ({found[0]}: {'ok' if found[1] else 'missed'})" if found else ""


def missed(table, results):
    """How many targets there are figures for, and a line for each that is missed."""
    judged = {}
    for case in results.cases():
        for label in results.labels(case):
            for of_table, _, figure, base, _, _ in TARGETS:
                if of_table != table or results.roles[label] != "keytide":
                    continue
                over = results.base(case, label, base, figure) if base else None
                value = results.ratio(case, label, over, figure) if base else results.median(case, label, figure)
                if value is not None and (found := judge(table, case, figure, base, value)):
                    said = f"{table}, {case}, {label}: {figure} {value:.2f}" + (f" × {over}" if over else "")
                    judged[case, label, figure, base] = (said, *found)
    return len(judged), [f"{line}, not {words}" for line, words, holds in judged.values() if not holds]
