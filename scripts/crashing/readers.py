"""Subscribers that go on where they were, and consumers of a group."""

import collections
import random
import time

from crashing.server import Wire
from replaying.history import digest

GROUP, IDLE_MS = ("*", "workers"), 400


def told(row):
    """What a row of CDC.READ and an event of a subscription have in common, as a number."""
    position, key, op, data, at, revision = row[:6]
    return digest([position, key, op.upper(), data, at, revision])


class Subscriber:
    """Keeps the position of the last event or checkpoint, and gives that after each crash."""

    def __init__(self, seed, stream, options, wants, window=None):
        self.rng, self.stream, self.options, self.wants = random.Random(f"{seed}/{stream}"), stream, options, wants
        self.window, self.taken = window, 0
        if window:
            self.options = [*options, "WINDOW", window]
        self.position, self.received, self.expected = None, [], collections.deque()
        self.failure, self.count, self.fell_behind = None, 0, 0

    def work(self, port, until):
        try:
            wire = Wire(port)
            start = ["START"] if self.position is None else ["POSITION", self.position]
            id = wire.ask("CDC.SUBSCRIBE", self.stream, "FROM", *start, *self.options)
            self.taken = 0
            wire.socket.settimeout(0.2)
            while True:
                try:
                    message = wire.read()
                except TimeoutError:
                    # Nothing happens: the server may be stopped.
                    if time.time() > until:
                        return wire.close()
                    wire.close()
                    return self.work(port, until)
                if not isinstance(message, list):
                    continue  # the reply to CDC.CREDIT
                self.take(message)
                if message[0] == b"cdc.dropped":
                    return wire.close()
                if self.window and self.taken >= self.window / 2:
                    # Meanwhile more happens than may wait, so it falls behind.
                    time.sleep(self.rng.choice([0, 0, 0, 0, self.rng.random() / 4]))
                    wire.send("CDC.CREDIT", id, self.taken)
                    self.taken = 0
        except (ConnectionError, OSError):
            pass
        except Exception as error:  # told by the main thread, which ends the run
            self.failure = error

    def take(self, message):
        kind = message[0]
        if kind == b"cdc.event":
            _, _, position, stream, revision, type, at, data = message[:8]
            key = b"" if stream == b"$db" else stream
            self.received.append((position, told([position, key, type, data, at, revision]), message))
            self.position = position
            self.taken += 1
        elif kind == b"cdc.checkpoint":
            self.position = max(message[2], self.position or 0)
        elif kind == b"cdc.fellbehind":
            self.fell_behind += 1
        elif kind == b"cdc.gap" or kind == b"cdc.dropped" and message[2] != b"shutting-down":
            raise AssertionError(f"the subscriber to {self.stream} from {self.position} is told {message}")

    def check(self, rows):
        """What was received is what the history has, in order, without a hole, nothing twice."""
        if self.failure:
            raise AssertionError(f"subscriber to {self.stream}: {self.failure!r}")
        self.expected.extend((row[0], told(row)) for row in rows if self.wants(row))
        for position, digested, message in self.received:
            due = self.expected.popleft() if self.expected else None
            if due != (position, digested):
                raise AssertionError(f"the subscriber to {self.stream} was told {message!r:.300}, where the history "
                                     f"goes on at {due and due[0]}")
        self.count += len(self.received)
        self.received = []

    def finish(self, port):
        """Receives what is left."""
        until = time.time() + 60
        while self.expected and time.time() < until:
            self.work(port, time.time() + 0.5)
            self.check([])
        if self.expected:
            raise AssertionError(f"the subscriber to {self.stream} at {self.position} never gets {self.expected[0][0]}")


class Consumers:
    """A group: what was delivered and acknowledged."""

    def __init__(self, seed):
        self.seed, self.due, self.delivered, self.acked, self.failure = seed, set(), [], set(), None
        self.again, self.count, self.is_created = 0, 0, False

    def create(self, wire):
        """Makes the group; one that was made stays."""
        try:
            wire.ask("CDC.GROUP", "CREATE", *GROUP, "0", "IDLE", IDLE_MS)
        except ValueError as error:
            if not self.is_created or "BUSYGROUP" not in str(error):
                raise AssertionError(f"CDC.GROUP CREATE is answered {error}") from error
            return
        if self.is_created:
            raise AssertionError("the group is gone")
        self.is_created = True

    def work(self, port, until, name="c1", all=False):
        """Reads and acknowledges: most of it, or all."""
        rng, acked_now = random.Random(f"{self.seed}/{name}/{time.time()}"), set()
        try:
            wire = Wire(port)
            while time.time() < until:
                rows = wire.ask("CDC.GROUP", "READ", *GROUP, name, rng.choice([1, 10, 500]), "BLOCK", 50)
                for row in rows:
                    if row[2] == b"GAP":
                        raise AssertionError(f"the group is told of a gap: {row}")
                    if row[0] in acked_now:
                        raise AssertionError(f"the group gives {row} although it was acknowledged")
                self.delivered += [(row[0], digest(row[:5])) for row in rows]
                roll = 0 if all else rng.random()
                positions = [row[0] for row in rows]
                if roll < 0.8 and positions:
                    wire.ask("CDC.ACK", *GROUP, *positions)
                    acked_now.update(positions)
                elif roll < 0.9 and positions:
                    wire.ask("CDC.NACK", *GROUP, "RETRY", *positions)
        except (ConnectionError, OSError):
            pass
        except Exception as error:  # told by the main thread, which ends the run
            self.failure = error
        # Two consumers never acknowledge the same entry at one time, so each may keep its own until here.
        self.acked.update(acked_now)

    def check(self, rows, history):
        if self.failure:
            raise AssertionError(f"group: {self.failure!r}")
        self.due.update(row[0] for row in rows)
        for position, digested in self.delivered:
            if history.digest_at(position) != digested:
                raise AssertionError(f"the group was given another event at {position} than the history has")
            self.again += position not in self.due
            self.due.discard(position)
        self.count += len(self.delivered)
        self.delivered = []

    def finish(self, port, history):
        """Reads what is left: everything was given at least once, and nothing stays pending."""
        wire, until = Wire(port), time.time() + 120
        while time.time() < until:
            self.work(port, time.time() + 2 * IDLE_MS / 1000, all=True)
            self.check([], history)
            if not self.due and not wire.ask("CDC.PENDING", *GROUP):
                return
        raise AssertionError(f"the group never gives {min(self.due, default=None)} "
                             f"({len(self.due)} in all), or keeps entries pending")
