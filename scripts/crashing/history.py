"""The history as it was read after each crash: it only ever grows."""

import array
import bisect
import collections

from replaying.history import digest
from replaying.model import Model, compare, dump, show


class History:
    def __init__(self):
        # Of each event its position, and a digest of its first five columns.
        self.positions, self.digests = array.array("Q"), array.array("L")
        self.revisions, self.model, self.cursor, self.id = collections.Counter(), Model(), "START", None

    def digest_at(self, position):
        index = bisect.bisect_left(self.positions, position)
        return self.digests[index] if index < len(self.positions) and self.positions[index] == position else None

    def take(self, wire):
        """Reads what is new. Positions ascend, revisions have no hole, each event makes sense where it stands."""
        info = wire.ask("CDC.INFO")
        found = dict(zip(info[::2], info[1::2])).get(b"history")
        if self.id not in (None, found):
            raise AssertionError(f"the history was {self.id}, and is {found}")
        self.id, rows = found, []
        while True:
            reply = wire.ask("CDC.READ", self.cursor, "COUNT", 10_000)
            page = dict(zip(reply[::2], reply[1::2]))
            if page[b"gap"] or page[b"lost"]:
                raise AssertionError(f"a gap at {self.cursor}: {page[b'lost']} events, before {page[b'first_seq']}")
            if not page[b"events"] and page[b"next_seq"] == self.cursor:
                break
            rows += page[b"events"]
            self.cursor = page[b"next_seq"]
        for row in rows:
            self.add(row, rows)
        return rows

    def add(self, row, rows):
        position, key, op, data, _, revision = row[:6]
        if self.positions and position <= self.positions[-1]:
            raise AssertionError(f"{row!r:.300} comes after position {self.positions[-1]}")
        stream = key, op == b"FLUSHDB"
        if revision != self.revisions[stream]:
            raise AssertionError(f"the revision should be {self.revisions[stream]}: {row!r:.300}")
        self.revisions[stream] += 1
        if op == b"SET" and b":count:" in key and int(data) != int(self.model.values.get(key, 0)) + 1:
            raise AssertionError(f"{row!r:.300} counts from {self.model.values.get(key)}\n{show(rows, {key}, position)}")
        try:
            self.model.apply(row)
        except (AssertionError, IndexError, KeyError) as error:
            text = f"{row!r:.300} cannot have happened here: {error}\n{show(rows, {key}, position)}"
            raise AssertionError(text) from error
        self.positions.append(position)
        self.digests.append(digest(row[:5]))

    def check_keys(self, port, rows):
        """The server's keys are what the events make."""
        compare(self.model, dump(port), rows)

    def check_windows(self, wire, rng, windows):
        """Events read long ago are still the same, at the same positions, wherever one begins to read."""
        for _ in range(windows if self.positions else 0):
            start, count = rng.randrange(len(self.positions)), rng.randint(1, 300)
            # Sometimes from a position that was never used.
            cursor = self.positions[start] if start == 0 or rng.random() < 0.5 else self.positions[start - 1] + 1
            self.check_window(wire.ask("CDCPOLL", cursor, count), start, count)

    def check_all(self, wire):
        start = 0
        while start < len(self.positions):
            self.check_window(wire.ask("CDCPOLL", self.positions[start], 10_000), start, 10_000)
            start += 10_000

    def check_window(self, rows, start, count):
        expected = list(zip(self.positions[start : start + count], self.digests[start : start + count]))
        for (position, digested), row in zip(expected, rows):
            if (row[0], digest(row)) != (position, digested):
                raise AssertionError(f"at {position} there is {row!r:.300}, and there was another event")
        if len(rows) != len(expected):
            raise AssertionError(f"CDCPOLL {self.positions[start]} {count} gives {len(rows)} of {len(expected)} events")
