"""Writers: what each sends, what was acknowledged, and whether the history has exactly that.

A writer has keys of its own, and every value names the writer and the number of the command. So for each event it is
known which command made it, and for each command which events it makes: those of an acknowledged one must be there;
those of one that the crash left without a reply may be, in the order in which they were sent.
"""

import collections
import random
import time
import uuid

import redis

from replaying.load import connect, shard_of

ANY = object()
FAR_MS = 4_000_000_000_000
STRINGS, TAGGED = 40, 4

# What an event has to be: key, op, data or ANY; whether it may be missing although the command ran.
Expected = collections.namedtuple("Expected", "key op data optional", defaults=(False,))


class Command:
    """Words, the events that it may make, and those that it made if this is its reply."""

    def __init__(self, words, *events, made=None):
        self.words, self.events = words, events
        self.made = made or (lambda reply: events)


class Entry:
    """What was sent at once: commands, their replies or None, whether they happen all or none."""

    def __init__(self, commands, atomic):
        self.commands, self.atomic, self.replies = commands, atomic, None


class Writer:
    def __init__(self, seed, number, shards):
        self.rng, self.name, self.shards = random.Random(f"{seed}/writer/{number}"), b"w%d" % number, shards
        self.is_first = number == 0
        self.sent, self.entries, self.again, self.failure = 0, [], None, None
        self.counts = collections.Counter()

    def owns(self, key):
        return key.startswith((self.name + b":", b"{%b}" % self.name)) or key == b"" and self.is_first

    def key(self, *words):
        return b":".join([self.name, *words])

    def command(self):
        """A random command."""
        self.sent += 1
        rng, value = self.rng, b"%b/%d" % (self.name, self.sent)
        value += b"." * rng.choice([0, 0, 0, 30, 300])
        string = self.key(b"str", b"%d" % rng.randrange(STRINGS))
        roll = rng.random()
        if roll < 0.25:
            return Command(["SET", string, value], Expected(string, b"SET", value))
        if roll < 0.40:
            key, op = self.key(b"list"), rng.choice([b"LPUSH", b"RPUSH"])
            return Command([op, key, value], Expected(key, op, value))
        if roll < 0.52:
            key, op = self.key(b"list"), rng.choice([b"LPOP", b"RPOP"])
            made = lambda reply: [] if reply is None else [Expected(key, op, reply)]
            return Command([op, key], Expected(key, op, ANY, True), made=made)
        if roll < 0.64:
            key, field = self.key(b"hash"), b"f%d" % rng.randrange(20)
            return Command(["HSET", key, field, value], Expected(key, b"HSET", [field, value]))
        if roll < 0.72:
            key = self.key(b"count", b"%d" % rng.randrange(3))
            made = lambda reply: [Expected(key, b"SET", b"%d" % reply)]
            return Command(["INCR", key], Expected(key, b"SET", ANY), made=made)
        if roll < 0.80:
            key = self.key(b"set")
            return Command(["SADD", key, value], Expected(key, b"SADD", value))
        if roll < 0.84:
            key, at = self.key(b"hash"), b"%d" % (FAR_MS + self.sent)
            event = Expected(key, b"TTLSET", at, True)
            return Command(["PEXPIREAT", key, at], event, made=lambda reply: [event] if reply else [])
        if roll < 0.89:
            key = rng.choice([string, self.key(b"list"), self.key(b"hash"), self.key(b"set")])
            event = Expected(key, b"DEL", None, True)
            return Command(["DEL", key], event, made=lambda reply: [event] if reply else [])
        return self.append(value)

    def append(self, value):
        key, id = self.key(b"log", b"%d" % self.rng.randrange(4)), uuid.UUID(int=self.rng.getrandbits(128))
        return Command(["CDC.APPEND", key, "Noted", value, "ID", str(id)], Expected(key, b"Noted", value))

    def entry(self):
        roll = self.rng.random()
        if roll < 0.45:
            return Entry([self.command()], False)
        if roll < 0.85:
            return Entry([self.command() for _ in range(self.rng.randint(2, 20))], False)
        if roll < 0.92:
            return Entry([self.command() for _ in range(self.rng.randint(2, 6))], None)
        if roll < 0.999 or not self.is_first:
            # On one shard, and so recovered all or none.
            keys = [b"{%b}%d" % (self.name, number) for number in range(TAGGED)]
            self.sent += 1
            value = b"%b/%d" % (self.name, self.sent)
            return Entry([Command(["SET", key, value], Expected(key, b"SET", value)) for key in keys], True)
        return Entry([Command(["FLUSHDB"], Expected(b"", b"FLUSHDB", None))], False)

    def work(self, port, until):
        """Sends until it is time or the server is gone."""
        try:
            client = connect(port, 2)
            if self.again:
                command, happened = self.again
                # The same id: where it happened, it does not happen again.
                again = Command(command.words, made=lambda reply: []) if happened else command
                self.send(client, Entry([again], False))
            while time.time() < until:
                self.send(client, self.entry())
        except (redis.ConnectionError, redis.TimeoutError, OSError):
            pass
        except Exception as error:  # told by the main thread, which ends the run
            self.failure = error

    def send(self, client, entry):
        self.entries.append(entry)
        if len(entry.commands) == 1 and entry.atomic is False:
            entry.replies = [client.execute_command(*entry.commands[0].words)]
            return
        with client.pipeline(transaction=entry.atomic is not False) as pipeline:
            for command in entry.commands:
                pipeline.execute_command(*command.words)
            entry.replies = pipeline.execute()

    def check(self, rows):
        """The rows of the writer's keys since the last check are what it sent."""
        if self.failure:
            raise AssertionError(f"writer {self.name.decode()}: {self.failure!r}")
        queues = collections.defaultdict(collections.deque)
        for row in rows:
            queues[row[1]].append(row)
        missing = set()
        self.again = None
        for entry in self.entries:
            acked = entry.replies is not None
            happened = self.match(entry, queues, missing)
            whole = sum(not event.optional for command in entry.commands for event in command.events)
            if not acked and entry.atomic and happened not in (0, whole):
                raise AssertionError(f"{happened} of {whole} events of one transaction are there: "
                                     f"{[command.words for command in entry.commands]}")
            self.counts["acknowledged" if acked else "open"] += len(entry.commands)
            self.counts["open that happened"] += 0 if acked else happened
            last = entry.commands[-1]
            if not acked and len(entry.commands) == 1 and last.words[0] == "CDC.APPEND":
                self.again = last, happened == 1 or not last.events
        self.entries = []
        left = [queue[0] for queue in queues.values() if queue]
        if left:
            raise AssertionError(f"nobody sent this, or not here: {left[0]!r:.300}")

    def match(self, entry, queues, missing):
        happened = 0
        acked = entry.replies is not None
        for index, command in enumerate(entry.commands):
            for event in command.made(entry.replies[index]) if acked else command.events:
                queue = queues[event.key]
                fits = queue and queue[0][2] == event.op and event.data in (ANY, queue[0][3])
                shard = shard_of(event.key, self.shards) if event.key else "all"
                if acked and not fits:
                    found = f"{queue[0]!r:.300}" if queue else "nothing"
                    raise AssertionError(f"{command.words} was answered {entry.replies[index]}; "
                                         f"instead of {event} there is {found}")
                if fits and shard not in missing:
                    row = queue.popleft()
                    happened += not event.optional
                    if acked and event.op == b"Noted" and [row[0], row[5]] != entry.replies[index]:
                        raise AssertionError(f"{command.words} was answered {entry.replies[index]}; there is {row}")
                elif not event.optional:
                    # Of what one connection sends, a shard has the first ones.
                    missing.add(shard)
        return happened
