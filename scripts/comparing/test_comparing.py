"""The maths and the tables: python3 -m unittest discover -s scripts/comparing -t scripts"""

import unittest

from comparing import durability, lanes, subscriptions, tables, targets
from comparing.results import Results
from comparing.rounds import Run, measure
from comparing.servers import Failed
from comparing.tables import Ratio, Value

COLUMNS = [Value("operations/s", "rate", 0), Ratio("rate", "redis"), Ratio("rate", "others")]
COLUMNS += [Value("CPU", "cpu", 2, spread=True)]


def results(**rates):
    """Each label's rates by round; none where there was no run."""
    found = Results()
    for label, values in rates.items():
        role = {"redis": "redis", "redis8": "newest", "valkey": "newest", "kora": "other", "kevy": "other"}.get(label, "keytide")
        for number, rate in enumerate(values):
            if rate is not None:
                found.add("SET, pipeline 1", label, role, number, {"rate": rate, "cpu": 1000 / rate})
    return found


class Ratios(unittest.TestCase):
    def test_a_ratio_is_the_median_of_the_rounds_own(self):
        # The medians' own ratio would be 200 / 200.
        found = results(redis=[100, 200, 400], keytide=[200, 100, 800])
        self.assertEqual(found.ratio("SET, pipeline 1", "keytide", "redis", "rate"), 2)

    def test_only_rounds_with_both_count(self):
        found = results(redis=[100, None, 400], keytide=[200, 900, None])
        self.assertEqual(found.ratio("SET, pipeline 1", "keytide", "redis", "rate"), 2)
        self.assertIsNone(results(redis=[None, 1], keytide=[1]).ratio("SET, pipeline 1", "keytide", "redis", "rate"))

    def test_the_best_other_has_the_greatest_rate_and_the_least_cpu(self):
        found = results(redis=[900], kora=[100], kevy=[200], keytide=[150])
        self.assertEqual(found.base("SET, pipeline 1", "keytide", "others", "rate"), "kevy")
        self.assertEqual(found.base("SET, pipeline 1", "keytide", "others", "cpu"), "kevy")
        self.assertIsNone(found.base("SET, pipeline 1", "kora", "others", "rate"))

    def test_the_newest_is_the_better_one_of_them_and_no_base_of_theirs(self):
        found = results(redis=[900], redis8=[300], valkey=[200], keytide=[150])
        self.assertEqual(found.base("SET, pipeline 1", "keytide", "newest", "rate"), "redis8")
        self.assertEqual(found.base("SET, pipeline 1", "keytide", "newest", "cpu"), "redis8")
        self.assertIsNone(found.base("SET, pipeline 1", "valkey", "newest", "rate"))

    def test_with_two_binaries_the_first_is_the_base(self):
        found = results(old=[100], new=[150])
        self.assertEqual(found.base("SET, pipeline 1", "new", "first", "rate"), "old")
        self.assertIsNone(results(redis=[1], new=[1]).base("SET, pipeline 1", "new", "first", "rate"))


class Tables(unittest.TestCase):
    def test_a_target_stands_behind_its_ratio(self):
        found = results(redis=[100, 100], kora=[400, 200], keytide=[200, 200])
        rows = tables.rows("load", found, "Operations", COLUMNS)
        self.assertEqual(rows[0], ["Operations", "server", "operations/s", "× redis-server", "× best other", "CPU"])
        self.assertEqual(rows[2], ["", "kora", "300", "3.00", "", "3.75 (2.50–5.00)"])
        self.assertEqual(rows[3][3:5], ["2.00 (≥ 1: ok)", "0.75 kora (≥ 1: missed)"])
        count, missed = targets.missed("load", found)
        self.assertEqual((count, len(missed)), (4, 2), missed)

    def test_a_target_is_judged_as_it_is_printed(self):
        self.assertEqual(targets.verdict("parked", "GET", "p50", "redis", 1.104), " (≤ 1.1: ok)")
        self.assertEqual(targets.verdict("idle", "no client", "share", None, 0.996), " (< 1: missed)")

    def test_a_column_without_figures_goes(self):
        rows = tables.rows("load", results(keytide=[100]), "Operations", COLUMNS)
        self.assertEqual(rows[0], ["Operations", "server", "operations/s", "CPU"])

    def test_markdown_and_text_have_each_row_and_line(self):
        table = [["Operations", "server", "rate"], ["SET", "redis", "1"]]
        self.assertEqual(
            tables.markdown(table, ["facts"]),
            "| Operations | server | rate |\n| --- | --- | ---: |\n| SET | redis | 1 |\n\n- facts\n",
        )
        self.assertEqual(tables.text(table, ["facts"]), "Operations  server  rate\nSET         redis      1\n\nfacts\n")


class Fake:
    """A server without a process."""

    def __init__(self, label, lives=True):
        self.label, self.role, self.lives, self.running = label, "other", lives, False

    def start(self):
        self.running = True

    def stop(self):
        self.running = False

    def end(self):
        return None if self.lives else "ended by SIGSEGV"


class Rounds(unittest.TestCase):
    def test_every_second_round_has_the_servers_the_other_way_round(self):
        order = []

        def prepare(server):
            return [Run(c, server.label, "other", lambda c=c: order.append(c + server.label) or {}) for c in "xy"]

        measure("test", [Fake("1"), Fake("2")], prepare, 2)
        self.assertEqual(" ".join(order), "x1 x2 y1 y2 x2 x1 y2 y1")

    def test_a_server_that_fails_is_left_out_and_said(self):
        servers, calls = [Fake("good"), Fake("bad", lives=False)], []

        def call(label):
            calls.append(label)
            if label == "bad":
                raise Failed("the server went away")
            return {"rate": 1}

        def prepare(server):
            return [Run(c, server.label, "other", lambda: call(server.label)) for c in "xy"]

        found = measure("test", servers, prepare, 2)
        self.assertEqual(calls.count("bad"), 1)
        why = "bad, x: the server went away; ended by SIGSEGV"
        self.assertEqual(found.notes, [f"failed, and left out from then on: {why}"])
        self.assertEqual(len(found.values("y", "good", "rate")), 2)
        self.assertFalse(any(server.running for server in servers))


class Lanes(unittest.TestCase):
    def test_a_key_has_the_slot_that_redis_cluster_gives_it(self):
        # CLUSTER KEYSLOT somekey = 11058, foo = 12182, hello = 866.
        self.assertEqual([lanes.shard(key) for key in ("somekey", "foo", "hello")], [1, 1, 0])


def delivery(**changes):
    fields = ("live", "refused", "fell_behind", "events", "expected", "missing", "disordered", "lost")
    found = dict.fromkeys(fields, 0) | {"dropped": {}, "server_cpu_us_per_event": 0.25, "last_push_seconds": 1.5}
    return found | changes


def run(rate, cpu, **changes):
    return {"rate": rate, "cpu": cpu, "delivery": delivery(**changes)}


class Subscriptions(unittest.TestCase):
    def test_what_is_kept_and_what_is_added_is_over_the_run_without_filters(self):
        figures = subscriptions.beside(run(900, 1.5, live=10, dropped={"too-slow": 2, "internal": 1}), run(1000, 1.25))
        self.assertEqual((figures["kept"], figures["added"], figures["alone"]), (0.9, 0.25, 1000))
        self.assertEqual((figures["live"], figures["dropped"], figures["refused"]), (10, 3, None))

    def test_growth_is_what_many_filters_add_over_what_a_few_do_and_none_where_those_add_nothing(self):
        def cpu(*values):
            return [{"cpu": value} for value in values]

        figures = subscriptions.grown(cpu(1.0, 9.0), cpu(1.25, 1.5), cpu(7.0, 1.5))
        self.assertEqual(figures, {"alone": 1.0, "few": 0.25, "many": 0.5, "growth": 2})
        self.assertNotIn("growth", subscriptions.grown(cpu(1.0), cpu(1.0), cpu(1.5)))

    def test_the_longest_turn_is_that_of_the_calmest_run(self):
        def run(turn):
            return {"p50": turn, "p99_9": turn, "max": turn, "delivery": {"longest_turn_us": turn}}

        figures = subscriptions.longer([run(900), run(700)], [run(300), run(5000)])
        self.assertEqual((figures["turn"], figures["turn_alone"], figures["longer"]), (700, 300, 400))
        figures = subscriptions.longer([run(900)], [run(1) | {"delivery": {"longest_turn_us": None}}])
        self.assertNotIn("longer", figures)

    def test_whatever_did_not_come_in_order_counts_as_not_received(self):
        found = run(1, 1, events=97, expected=100, missing=3, disordered=2, lost=1, fell_behind=4)
        figures = subscriptions.received(found)
        self.assertEqual((figures["lost"], figures["behind"], figures["per_cpu"]), (9, 4, 4_000_000))
        self.assertEqual(subscriptions.received(run(1, 1, server_cpu_us_per_event=None))["per_cpu"], None)

    def test_every_target_of_subscriptions_is_judged_in_its_table(self):
        judged = [
            (("filters", "10,000 prefixes", "kept", None, 0.8), True),
            (("growing", "10 and 10,000 prefixes", "growth", None, 3.01), False),
            (("filters", "1,000 hostile regexes", "kept", None, 0.49), False),
            (("filters", "1,000 regexes", "kept", None, 0.5), True),
            (("filters", "1,000 regexes", "kept", None, 0.496), False),
            (("adding", "10,000 prefixes and more", "longer", None, 1001.0), False),
            (("everything", "1 subscriber, 300,000 SETs", "per_cpu", "redis", 2.9), False),
            (("everything", "100 subscribers, 20,000 SETs", "lost", None, 0), True),
            (("pushing", "to 1 subscriber", "p99_9", "redis", 1.0), True),
            (("catching up", "300,000 events", "cpu", "redis", 0.41), False),
        ]
        for figure, holds in judged:
            self.assertEqual(targets.judge(*figure)[1], holds, figure)
        self.assertIsNone(targets.judge("filters", "10 prefixes", "kept", None, 0.1))


class Durability(unittest.TestCase):
    def test_a_server_on_disk_is_beside_the_one_in_memory_of_the_same_binary(self):
        found = Results()
        for label, role, rate in (
            ("redis-server", "redis", 40), ("old, in memory", "memory", 100), ("old", "keytide", 90),
            ("new, in memory", "memory", 200), ("new", "keytide", 160),
        ):
            found.add("SET, pipeline 16, os", label, role, 0, {"rate": rate})
        labels = ("old", "new", "redis-server")
        bases = [found.base("SET, pipeline 16, os", label, "memory", "rate") for label in labels]
        self.assertEqual(bases, ["old, in memory", "new, in memory", None])
        self.assertEqual(found.ratio("SET, pipeline 16, os", "new", "new, in memory", "rate"), 0.8)
        count, missed = targets.missed("on disk", found)
        self.assertEqual((count, len(missed)), (4, 1), missed)

    def test_runs_that_are_taken_together_keep_their_rounds_and_what_went_wrong(self):
        whole, part = Results(), Results()
        part.add("SET, pipeline 1, always", "keytide", "keytide", 1, {"rate": 5})
        part.rounds, part.failed = 2, True
        part.note("failed")
        for _ in range(2):
            whole.take(part)
        self.assertEqual(whole.values("SET, pipeline 1, always", "keytide", "rate"), {1: 5})
        self.assertEqual((whole.rounds, whole.failed, whole.notes), (2, True, ["failed"]))
        self.assertEqual(whole.only(lambda case: "always" not in case).cases(), [])
        self.assertEqual(whole.only(lambda case: "always" in case).cases(), ["SET, pipeline 1, always"])

    def test_a_start_is_measured_by_what_it_takes_more_than_one_without_history(self):
        figures = durability.recovered(4_000_000, (0.5, 0.25), (2.5, 1.25))
        self.assertEqual((figures["rate"], figures["cpu"], figures["seconds"]), (2, 0.25, 2.5))
        self.assertNotIn("rate", durability.recovered(1, (0.5, 0.25), (0.5, 0.25)))

    def test_memory_grows_by_what_all_takes_at_its_peak_more_than_a_tenth(self):
        def memory(mebibytes):
            return {name: mebibytes << 20 for name in ("VmHWM", "RssAnon", "RssFile")}

        found = run(1000, 1, server_cpu_us_per_event=0.5, events=97, expected=100, missing=2)
        figures = durability.caught_up(found, memory(100), memory(160), memory(170))
        self.assertEqual((figures["grown"], figures["peak"], figures["peak_part"]), (10, 170, 160))
        self.assertEqual((figures["RssFile_before"], figures["RssFile_after"]), (100, 170))
        self.assertEqual((figures["per_cpu"], figures["lost"]), (2, 5))

    def test_every_target_of_durability_is_judged_in_its_table(self):
        judged = [
            (("on disk", "SET, pipeline 16, os", "rate", "memory", 0.85), True),
            (("on disk", "SET, pipeline 16, os", "rate", "redis", 1.9), False),
            (("on disk", "SET, pipeline 16, everysec", "rate", "redis", 2.0), True),
            (("on disk", "SET, pipeline 1, always", "rate", "redis", 1.4), False),
            (("starting", "10,000,000 records", "rate", None, 1.0), True),
            (("segments", "10,000,000 events", "per_cpu", None, 0.9), False),
            (("segments", "10,000,000 events", "grown", None, 65.0), False),
            (("segments", "10,000,000 events", "lost", None, 0), True),
        ]
        for figure, holds in judged:
            self.assertEqual(targets.judge(*figure)[1], holds, figure)
        self.assertIsNone(targets.judge("starting", "a snapshot of 100,000 keys", "rate", None, 0.1))


if __name__ == "__main__":
    unittest.main()
