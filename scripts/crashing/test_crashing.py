"""The checks of scripts/crash find what they are for. Run by scripts/test."""

import unittest

from crashing.history import History
from crashing.readers import Subscriber, told
from crashing.writers import Command, Entry, Expected, Writer


def row(position, key, op, data, revision):
    return [position, key, op, data, 1000 + position, revision, None]


def set_command(key, value):
    return Command(["SET", key, value], Expected(key, b"SET", value))


class Writers(unittest.TestCase):
    def check(self, entries, rows):
        writer = Writer(1, 0, 2)
        for commands, atomic, replies in entries:
            entry = Entry(commands, atomic)
            entry.replies = replies
            writer.entries.append(entry)
        writer.check(rows)
        return writer

    def refused(self, entries, rows, text):
        with self.assertRaisesRegex(AssertionError, text):
            self.check(entries, rows)

    def test_what_was_acknowledged_has_to_be_there(self):
        entry = [set_command(b"w0:a", b"1")], False, [b"OK"]
        self.check([entry], [row(1, b"w0:a", b"SET", b"1", 0)])
        self.refused([entry], [], "nothing")
        self.refused([entry], [row(1, b"w0:a", b"SET", b"2", 0)], "instead of")

    def test_what_nobody_sent_may_not_be_there(self):
        entry = [set_command(b"w0:a", b"1")], False, [b"OK"]
        twice = [row(1, b"w0:a", b"SET", b"1", 0), row(2, b"w0:a", b"SET", b"1", 1)]
        self.refused([entry], twice, "nobody sent")

    def test_of_what_is_open_a_first_part_is_there(self):
        commands = [set_command(b"w0:a", b"%d" % n) for n in range(3)]
        rows = [row(n, b"w0:a", b"SET", b"%d" % n, n) for n in range(3)]
        for count in range(4):
            writer = self.check([(commands, False, None)], rows[:count])
            self.assertEqual(writer.counts["open that happened"], count)
        self.refused([(commands, False, None)], rows[1:], "nobody sent")

    def test_a_transaction_is_there_whole_or_not(self):
        commands = [set_command(b"{w0}%d" % n, b"1") for n in range(2)]
        rows = [row(n, b"{w0}%d" % n, b"SET", b"1", 0) for n in range(2)]
        self.check([(commands, True, None)], rows)
        self.check([(commands, True, None)], [])
        self.refused([(commands, True, None)], rows[:1], "1 of 2")

    def test_an_open_append_is_sent_again_with_its_id(self):
        append = Writer(1, 0, 2).append(b"1")
        key = append.events[0].key
        there = row(1, key, b"Noted", b"1", 0)
        self.assertEqual(self.check([([append], False, None)], [there]).again, (append, True))
        self.assertEqual(self.check([([append], False, None)], []).again, (append, False))
        self.check([([append], False, [[1, 0]])], [there])
        self.refused([([append], False, [[2, 0]])], [there], "was answered")


class Histories(unittest.TestCase):
    def refused(self, rows, text):
        history = History()
        with self.assertRaisesRegex(AssertionError, text):
            for each in rows:
                history.add(each, rows)

    def test_positions_ascend_and_revisions_have_no_hole(self):
        a = lambda position, revision: row(position, b"a", b"SET", b"1", revision)
        self.refused([a(5, 0), a(5, 1)], "comes after position 5")
        self.refused([a(5, 0), a(6, 0)], "revision should be 1")
        self.refused([a(5, 0), a(6, 2)], "revision should be 1")
        self.refused([row(1, b"w1:count:0", b"SET", b"2", 0)], "counts from None")
        self.refused([row(1, b"a", b"DEL", None, 0)], "cannot have happened")

    def test_a_position_has_the_same_event_for_ever(self):
        history, rows = History(), [row(n, b"a", b"SET", b"%d" % n, n) for n in range(4)]
        for each in rows:
            history.add(each, rows)
        polled = [each[:5] for each in rows]
        history.check_window(polled, 0, 10)
        history.check_window(polled[1:3], 1, 2)
        with self.assertRaisesRegex(AssertionError, "another event"):
            history.check_window([polled[0], row(1, b"a", b"SET", b"x", 1)[:5]], 0, 2)
        with self.assertRaisesRegex(AssertionError, "3 of 4"):
            history.check_window(polled[:3], 0, 10)


class Subscribers(unittest.TestCase):
    def check(self, told_positions, text=None):
        rows = [row(n, b"a", b"SET", b"%d" % n, n) for n in range(4)]
        subscriber = Subscriber(1, "$all", [], lambda row: True)
        subscriber.received = [(n, told(rows[n]), rows[n]) for n in told_positions]
        if text is None:
            subscriber.check(rows)
            return
        with self.assertRaisesRegex(AssertionError, text):
            subscriber.check(rows)

    def test_events_come_in_order_without_a_hole_and_once(self):
        self.check([0, 1, 2])
        self.check([0, 2], "goes on at 1")
        self.check([0, 1, 1], "goes on at 2")
        self.check([1, 0], "goes on at 0")
        self.check([0, 1, 2, 3, 3], "goes on at None")

    def test_a_gap_and_a_drop_are_failures(self):
        subscriber = Subscriber(1, "$all", [], lambda row: True)
        for message in ([b"cdc.gap", 1, 2, 3], [b"cdc.dropped", 1, b"position-ahead", 3]):
            self.assertRaises(AssertionError, subscriber.take, message)
        subscriber.take([b"cdc.dropped", 1, b"shutting-down", 3])
        subscriber.take([b"cdc.checkpoint", 1, 9])
        self.assertEqual(subscriber.position, 9)


if __name__ == "__main__":
    unittest.main()
