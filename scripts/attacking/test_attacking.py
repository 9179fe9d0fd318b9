"""The judgements of scripts/attack are what it says they are. Run by scripts/test."""

import os
import random
import socket
import tempfile
import threading
import unittest

from attacking import durability, exhaustion, flips, innocent, replies, table, trial  # noqa: F401: they list their cases
from attacking.cases import CASES, add
from attacking.hostile import ATTACKS, Attack
from attacking.wire import Push, ReplyError, Wire, encode, fields


def figures(p99, errors=0, unanswered=0):
    return innocent.Figures(100.0, p99, 2 * p99, unanswered, errors)


def outcome(without=1_000.0, during=1_000.0, memory=(200, 300, 210), **options):
    before, peak, after = memory
    return trial.Outcome(figures(without), figures(during, **options), figures(without), before, 200, peak, after)


def attack(**options):
    return Attack("one", "what it does", lambda port, scale, ready: None, **options)


class Judgements(unittest.TestCase):
    def check(self, seen, text=None, **options):
        found = "; ".join(trial.failures(attack(**options), seen, judges_time=True))
        self.assertEqual(found, "") if text is None else self.assertIn(text, found)

    def test_p99_may_be_five_times_as_long_or_5_ms(self):
        self.check(outcome(without=100, during=5_000))
        self.check(outcome(without=100, during=5_001), "p99 5.00 ms, 5.00 are allowed")
        self.check(outcome(without=2_000, during=10_000))
        self.check(outcome(without=2_000, during=10_001), "10.0 are allowed")

    def test_one_long_command_is_shown_and_not_judged_by_its_time(self):
        self.check(outcome(during=1_000_000), is_long=True)
        self.assertEqual(trial.failures(attack(), outcome(during=1_000_000), judges_time=False), [])

    def test_memory_is_bounded_meanwhile_and_comes_back(self):
        self.check(outcome(memory=(200, 400, 264)))
        self.check(outcome(memory=(200, 401, 264)), "grew by 201 MiB, 200 are allowed")
        self.check(outcome(memory=(200, 400, 265)), "65 MiB stay")

    def test_every_command_of_the_innocent_client_is_answered(self):
        self.check(outcome(errors=1), "1 errors")
        self.check(outcome(unanswered=2), "2 commands without a reply")


class Tables(unittest.TestCase):
    def test_a_row_has_all_figures_and_marks_what_is_not_right(self):
        name = next(name for name, each in ATTACKS.items() if not each.is_long)
        rows = table.rows({name: (outcome(during=20_000, memory=(200, 9_000, 201)), "0.10 / 77.0")})
        self.assertEqual(rows[0], table.HEAD)
        self.assertEqual(rows[1][1:], ["0.10 / 1.00", "0.10 / 20.0 !", "0.10 / 1.00", "0.10 / 77.0", "200", "9,000 !", "201"])

    def test_markdown_has_a_line_for_each_row_and_each_note(self):
        text = table.markdown([["a", "b"], ["1", "2"]], ["a note"])
        self.assertEqual(text, "| a | b |\n| --- | ---: |\n| 1 | 2 |\n\n- a note\n")

    def test_the_page_has_a_place_for_it(self):
        before, after = table.parts()
        self.assertTrue(before and after)


class Cases(unittest.TestCase):
    def test_every_attack_is_a_case_and_says_what_it_does(self):
        for name, each in ATTACKS.items():
            self.assertEqual(CASES[f"client:{name}"].about, each.about)
        self.assertTrue(all(each.about for each in CASES.values()))

    def test_no_two_have_one_name(self):
        with self.assertRaisesRegex(ValueError, "two cases"):
            add(next(iter(CASES.values())))


class Figures(unittest.TestCase):
    def test_those_of_a_report_are_found(self):
        latency = {"p50": 1.0, "p99": 2.0, "max": 3.0}
        found = innocent.figures({"latency_us": latency, "unanswered": 4, "errors": 5})
        self.assertEqual(found, innocent.Figures(1.0, 2.0, 3.0, 4, 5))

    def test_milliseconds_have_three_digits(self):
        shown = [innocent.milliseconds(micros) for micros in (12, 1_234, 12_340, 123_456, 1_234_567, float("inf"))]
        self.assertEqual(shown, ["0.01", "1.23", "12.3", "123", "1,235", "no reply"])


class Wires(unittest.TestCase):
    def talk(self, sent):
        """A connection to somebody who sends this."""
        listener = socket.create_server(("127.0.0.1", 0))

        def serve():
            with listener, listener.accept()[0] as client:
                client.sendall(sent)

        threading.Thread(target=serve, daemon=True).start()
        return Wire(listener.getsockname()[1], timeout=5)

    def test_replies_of_both_protocols_are_read(self):
        with self.talk(b"+OK\r\n:7\r\n$2\r\nab\r\n$-1\r\n*2\r\n:1\r\n_\r\n%1\r\n+k\r\n:2\r\n") as wire:
            self.assertEqual([wire.reply() for _ in range(6)], [b"OK", 7, b"ab", None, [1, None], [b"k", 2]])
            with self.assertRaises(ConnectionError):
                wire.reply()

    def test_an_error_is_a_value_and_a_push_waits(self):
        with self.talk(b">1\r\n+told\r\n-ERR no\r\n>1\r\n+again\r\n") as wire:
            reply = wire.reply()
            self.assertIsInstance(reply, ReplyError)
            self.assertEqual(str(reply), "ERR no")
            self.assertEqual([wire.push(), wire.push()], [Push([b"told"]), Push([b"again"])])

    def test_words_are_encoded_as_bulk_strings(self):
        self.assertEqual(encode("GET", b"a", 12), b"*3\r\n$3\r\nGET\r\n$1\r\na\r\n$2\r\n12\r\n")
        self.assertEqual(fields([b"a", 1, b"b", 2]), {"a": 1, "b": 2})


class Damage(unittest.TestCase):
    def test_a_file_differs_in_one_byte_or_is_shorter(self):
        rng, data, kinds = random.Random(1), bytes(range(1, 200)), set()
        for _ in range(100):
            with tempfile.NamedTemporaryFile(delete=False) as file:
                file.write(data)
            flips.damage(rng, file.name)
            with open(file.name, "rb") as damaged:
                now = damaged.read()
            os.unlink(file.name)
            differ = sum(one != other for one, other in zip(data, now))
            kinds.add((len(now) == len(data), differ))
        self.assertEqual(kinds, {(True, 1), (False, 0)})


if __name__ == "__main__":
    unittest.main()
