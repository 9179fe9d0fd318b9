"""Reading the recorded events back in several ways, and that all of them tell the same."""

import collections
import random
import socket
import time
import zlib

from replaying.load import SOCKET_TIMEOUT, connect

END = b"ReplayEnd"


class Wire:
    """A bare RESP2 connection: many rows are read several times, and redis-py would take most of the run for it."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=SOCKET_TIMEOUT)
        self.input = self.socket.makefile("rb", 1 << 20)

    def ask(self, *words):
        words = [word if isinstance(word, bytes) else str(word).encode() for word in words]
        self.socket.sendall(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(w), w) for w in words))
        return self.read()

    def read(self):
        line = self.input.readline()
        kind, text = line[:1], line[1:-2]
        if kind == b":":
            return int(text)
        if kind == b"$":
            return None if text == b"-1" else self.input.read(int(text) + 2)[:-2]
        if kind == b"*":
            return None if text == b"-1" else [self.read() for _ in range(int(text))]
        if kind == b"+":
            return text
        raise AssertionError(f"the server answered {line!r}")

    def history(self, cursor, *options):
        """One CDC.READ: the rows and where to read on."""
        reply = self.ask("CDC.READ", cursor, *options)
        page = dict(zip(reply[::2], reply[1::2]))
        if page[b"gap"] or page[b"lost"]:
            raise AssertionError(f"a gap at {cursor}: {page[b'lost']} events are lost; give more --ring-bytes")
        return page[b"events"], page[b"next_seq"]

    def info(self):
        reply = self.ask("CDC.INFO")
        return dict(zip(reply[::2], reply[1::2]))


def digest(row):
    return zlib.crc32(repr(row).encode())


def follow(port, seed, cursor, deadline):
    """Reads live, in pieces of random size, until the end mark; answers a digest of each row."""
    rng, wire, digests = random.Random(f"{seed}/follow"), Wire(port), []
    while time.time() < deadline:
        rows, cursor = wire.history(cursor, "COUNT", rng.randint(1, 5000), "BLOCK", 100)
        digests += map(digest, rows)
        if rows and rows[-1][2] == END:
            return digests
    raise AssertionError("the reader that follows live did not get to the end in time")


def read_all(wire, first, rng):
    rows, cursor = [], first
    while not rows or rows[-1][2] != END:
        more, cursor = wire.history(cursor, "COUNT", rng.choice([1, 7, 100, 3000, 10_000]))
        if not more:
            raise AssertionError(f"CDC.READ ends at {cursor}, before the end mark")
        rows += more
    return rows


def poll_all(wire, first, rng):
    rows = []
    while not rows or rows[-1][2] != END:
        more = wire.ask("CDCPOLL", rows[-1][0] + 1 if rows else first, rng.choice([1, 7, 100, 3000, 10_000]))
        if not more:
            raise AssertionError(f"CDCPOLL ends after {rows[-1:]}, before the end mark")
        rows += more
    return rows


def check_rows(rows, first, polled, followed, port, rng):
    """Positions and revisions are without a hole, and all ways of reading tell the same."""
    revisions = collections.Counter()
    for position, row in enumerate(rows, first):
        if row[0] != position:
            raise AssertionError(f"position {position} is missing: {row} comes after {rows[position - first - 1]}")
        # The stream of FlushDb is `$db`; its key is empty, and so may be that of a key.
        stream = (row[1], row[2] == b"FLUSHDB")
        if row[5] != revisions[stream]:
            raise AssertionError(f"the revision of {row} should be {revisions[stream]}")
        revisions[stream] += 1
    for index, row in enumerate(rows):
        if polled[index] != row[:5]:
            raise AssertionError(f"CDCPOLL tells {polled[index]} where CDC.READ tells {row}")
        if index >= len(followed) or followed[index] != digest(row):
            raise AssertionError(f"the reader that followed live did not see {row}")
    client = connect(port, 3)
    for _ in range(100):
        start, count = rng.randrange(len(rows)), rng.randint(1, 50)
        window = client.execute_command("CDCPOLL", first + start, count)
        if window != polled[start : start + count]:
            raise AssertionError(f"CDCPOLL {first + start} {count} tells {window}")


def check_appends(rows, first, writers):
    """Every acknowledged CDC.APPEND is where its reply said, in the order in which its process sent them."""
    for _, _, _, appends in writers:
        last = 0
        for position, revision, key, event_type, data in appends:
            row = rows[position - first]
            if [row[1], row[2], row[3], row[5]] != [key, event_type, data, revision]:
                raise AssertionError(f"CDC.APPEND {key} {data} was answered {position} {revision}; there is {row}")
            if event_type == b"Mark":
                if position <= last:
                    raise AssertionError(f"{row} was sent after the one at {last} was acknowledged")
                last = position
