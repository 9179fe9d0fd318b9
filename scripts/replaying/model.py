"""A keyspace made of events alone, and its comparison with the server's."""

from replaying.load import connect


class Scores(dict):
    """A sorted set: the text of the score of each member."""


class Hash(dict):
    """A hash: the value of each field, and when the TTLs of fields end."""

    def __init__(self, pairs=(), ends=()):
        super().__init__(pairs)
        self.ends = dict(ends)

    def __eq__(self, other):
        return super().__eq__(other) and isinstance(other, Hash) and self.ends == other.ends

    def __repr__(self):
        return f"{super().__repr__()} {self.ends!r}"


class Stream:
    """A Redis stream: its entries, and what else it knows; groups have their consumers and what is pending."""

    def __init__(self):
        self.entries, self.last, self.added, self.deleted, self.groups = {}, (0, 0), 0, (0, 0), {}

    def __bool__(self):
        return True

    def __eq__(self, other):
        return isinstance(other, Stream) and vars(self) == vars(other)

    def __repr__(self):
        return f"{self.last} {self.added} {self.deleted} {self.groups!r} {self.entries!r}"


def entry_id(text):
    return tuple(int(number) for number in text.split(b"-"))


class Model:
    """A keyspace that events make. An event that cannot have happened where it stands is refused."""

    def __init__(self):
        self.values, self.ends, self.now = {}, {}, 0

    def apply(self, row):
        _, key, op, data, self.now = row[:5]
        handle = getattr(self, op.decode(), None) if op.isupper() and op.isalpha() else None
        if op != b"FLUSHDB" and op != b"EXPIRE" and self.ends.get(key, self.now + 1) <= self.now:
            raise AssertionError(f"its TTL was over at {self.ends[key]}")
        if handle:
            handle(key, *(data if isinstance(data, list) else [] if data is None else [data]))

    def of(self, key, kind, make=False):
        value = self.values.get(key)
        if value is None and make:
            value = self.values[key] = kind()
        assert type(value) is kind, f"the key holds {value!r:.200}"
        return value

    def drop(self, key):
        del self.values[key]
        self.ends.pop(key, None)

    def left(self, key):
        if not self.values[key]:
            self.drop(key)

    def FLUSHDB(self, key):
        self.values, self.ends = {}, {}

    def SET(self, key, value):
        self.values[key] = value

    def SETRANGE(self, key, offset, part):
        old, offset = self.of(key, bytes, make=True), int(offset)
        self.values[key] = old[:offset].ljust(offset, b"\0") + part + old[offset + len(part) :]

    def DEL(self, key):
        assert key in self.values, "there is no such key"
        self.drop(key)

    def EXPIRE(self, key):
        assert key in self.values and self.ends.get(key, self.now + 1) <= self.now, f"its TTL is {self.ends.get(key)}"
        self.drop(key)

    def TTLSET(self, key, at_ms):
        assert key in self.values, "there is no such key"
        self.ends[key] = int(at_ms)

    def TTLCLEARED(self, key):
        assert key in self.ends, "there is no TTL"
        del self.ends[key]

    def made(self, kind, parts):
        return {
            b"string": lambda: parts[0],
            b"hash": lambda: Hash(zip(parts[::2], parts[1::2])),
            b"hashttl": lambda: Hash(
                zip(parts[::3], parts[1::3]), [(field, int(end)) for field, end in zip(parts[::3], parts[2::3]) if end != b"0"]
            ),
            b"list": lambda: list(parts),
            b"set": lambda: set(parts),
            b"zset": lambda: Scores(zip(parts[1::2], parts[::2])),
            b"stream": lambda: stream_of_items(parts),
        }[kind]()

    def RENAME(self, key, source, kind, *parts):
        made = self.made(kind, parts)
        assert self.values.get(source) == made, f"the source holds {self.values.get(source)!r:.200}"
        self.ends.pop(key, None)
        self.values[key] = made

    COPY = RENAME

    def RESTORE(self, key, kind, *parts):
        self.ends.pop(key, None)
        self.values[key] = self.made(kind, parts)

    def HSET(self, key, field, value):
        self.of(key, Hash, make=True)[field] = value

    def HDEL(self, key, field):
        fields = self.of(key, Hash)
        assert fields.pop(field, None) is not None, "there is no such field"
        fields.ends.pop(field, None)
        self.left(key)

    def HTTLSET(self, key, field, at_ms):
        fields = self.of(key, Hash)
        assert field in fields, "there is no such field"
        fields.ends[field] = int(at_ms)

    def HTTLCLEARED(self, key, field):
        assert self.of(key, Hash).ends.pop(field, None) is not None, "it has no TTL"

    def HEXPIRE(self, key, *fields):
        found = self.of(key, Hash)
        for field in fields or list(found):
            assert found.ends.get(field, self.now + 1) <= self.now, f"its TTL is {found.ends.get(field)}"
            del found[field], found.ends[field]
        assert fields or not found
        self.left(key)

    def SADD(self, key, member):
        members = self.of(key, set, make=True)
        assert member not in members, "the member is there"
        members.add(member)

    def SREM(self, key, member):
        assert member in self.of(key, set), "there is no such member"
        self.values[key].remove(member)
        self.left(key)

    def ZADD(self, key, score, member):
        scores = self.of(key, Scores, make=True)
        assert scores.get(member) != score and float(score) == float(score), "the score is that"
        scores[member] = score

    def ZREM(self, key, member):
        assert self.of(key, Scores).pop(member, None) is not None, "there is no such member"
        self.left(key)

    def XADD(self, key, name, *words):
        stream = self.of(key, Stream, make=True)
        assert entry_id(name) > stream.last and words and len(words) % 2 == 0, f"the last one is {stream.last}"
        stream.last = entry_id(name)
        stream.entries[stream.last] = list(words)
        stream.added += 1

    def XDEL(self, key, *names):
        stream = self.of(key, Stream)
        for name in names:
            assert stream.entries.pop(entry_id(name), None) is not None, "there is no such entry"
            stream.deleted = max(stream.deleted, entry_id(name))

    def XTRIM(self, key, last):
        stream = self.of(key, Stream)
        assert entry_id(last) in stream.entries, "there is no such entry"
        stream.entries = {name: words for name, words in stream.entries.items() if name > entry_id(last)}

    def XSETID(self, key, last, added, deleted):
        stream = self.of(key, Stream)
        stream.last, stream.added, stream.deleted = entry_id(last), int(added), entry_id(deleted)

    def group(self, key, name):
        groups = self.of(key, Stream).groups
        assert name in groups, "there is no such group"
        return groups[name]

    def XGROUP(self, key, name, last, read):
        groups = self.of(key, Stream, make=True).groups
        group = groups.setdefault(name, {"consumers": {}, "pending": {}})
        group["last"], group["read"] = entry_id(last), read

    def XGROUPDEL(self, key, name):
        self.group(key, name)
        del self.values[key].groups[name]

    def XCONSUMER(self, key, name, consumer):
        consumers = self.group(key, name)["consumers"]
        assert consumer not in consumers, "the consumer is there"
        consumers[consumer] = self.now

    def XCONSUMERDEL(self, key, name, consumer):
        group = self.group(key, name)
        del group["consumers"][consumer]
        group["pending"] = {name: entry for name, entry in group["pending"].items() if entry[0] != consumer}

    def XREADGROUP(self, key, name, consumer, last, read, *noack):
        group = self.group(key, name)
        given = [each for each in self.values[key].entries if group["last"] < each <= entry_id(last)]
        assert given and given[-1] == entry_id(last), "the last one is another"
        group["consumers"][consumer] = self.now
        group["last"], group["read"] = entry_id(last), read
        if not noack:
            group["pending"].update({each: (consumer, self.now, 1) for each in given})

    def XCLAIM(self, key, name, consumer, at_ms, times, *names):
        group = self.group(key, name)
        group["consumers"][consumer] = self.now
        for each in map(entry_id, names):
            before = group["pending"].get(each, (None, 0, 1))[2]
            count = int(times[1:]) if times.startswith(b"=") else before + int(times)
            group["pending"][each] = (consumer, int(at_ms), count)

    def XACK(self, key, name, *names):
        pending = self.group(key, name)["pending"]
        for each in names:
            assert pending.pop(entry_id(each), None) is not None, "it is not pending"

    def LPUSH(self, key, element):
        self.of(key, list, make=True).insert(0, element)

    def RPUSH(self, key, element):
        self.of(key, list, make=True).append(element)

    def LPOP(self, key, element):
        assert self.of(key, list).pop(0) == element, "the head is another"
        self.left(key)

    def RPOP(self, key, element):
        assert self.of(key, list).pop() == element, "the tail is another"
        self.left(key)

    def LSET(self, key, index, element):
        self.of(key, list)[int(index)] = element

    def LINSERT(self, key, index, element):
        assert int(index) <= len(self.of(key, list)), "the list is shorter"
        self.values[key].insert(int(index), element)

    def LREM(self, key, count, element):
        elements, count = self.of(key, list), int(count)
        places = [place for place, each in enumerate(elements) if each == element]
        assert len(places) >= abs(count) > 0, f"the list has {len(places)} of them"
        gone = set(places[:count] if count > 0 else places[count:])
        self.values[key] = [each for place, each in enumerate(elements) if place not in gone]
        self.left(key)

    def LTRIM(self, key, first, last):
        self.values[key] = self.of(key, list)[int(first) : int(last) + 1]
        self.left(key)


def stream_of_items(parts):
    stream, parts = Stream(), list(reversed(parts))
    take = lambda count: [parts.pop() for _ in range(count)]
    while parts:
        letter = parts.pop()
        if letter == b"s":
            last, added, deleted = take(3)
            stream.last, stream.added, stream.deleted = entry_id(last), int(added), entry_id(deleted)
        elif letter == b"e":
            name, count = take(2)
            stream.entries[entry_id(name)] = take(2 * int(count))
        elif letter == b"g":
            name, last, read = take(3)
            stream.groups[name] = {"consumers": {}, "pending": {}, "last": entry_id(last), "read": read}
        elif letter == b"c":
            name, consumer, seen, count = take(4)
            group = stream.groups[name]
            group["consumers"][consumer] = int(seen)
            for _ in range(int(count)):
                each, at_ms, times = take(3)
                group["pending"][entry_id(each)] = (consumer, int(at_ms), int(times))
    return stream


def stream_of_info(words):
    """A stream as XINFO STREAM FULL tells it; when consumers were heard of is left out, for not all of that is recorded."""
    pairs = lambda words: dict(zip(words[::2], words[1::2]))
    found, stream = pairs(words), Stream()
    stream.last, stream.added = entry_id(found[b"last-generated-id"]), found[b"entries-added"]
    stream.deleted = entry_id(found[b"max-deleted-entry-id"])
    stream.entries = {entry_id(name): fields for name, fields in found[b"entries"]}
    for group in map(pairs, found[b"groups"]):
        read = group[b"entries-read"]
        stream.groups[group[b"name"]] = {
            "consumers": {pairs(each)[b"name"]: None for each in group[b"consumers"]},
            "pending": {entry_id(name): (consumer, at_ms, times) for name, consumer, at_ms, times in group[b"pending"]},
            "last": entry_id(group[b"last-delivered-id"]),
            "read": b"-" if read is None else b"%d" % read,
        }
    return stream


def forget_seen(value):
    """A value without what is not compared."""
    if isinstance(value, Stream):
        for group in value.groups.values():
            group["consumers"] = dict.fromkeys(group["consumers"])
    return value


def show(rows, keys, until=None, most=15):
    """The last events of some keys, and the flushes among them."""
    shown = [row for row in rows if row[1] in keys or row[2] == b"FLUSHDB"]
    shown = [row for row in shown if until is None or row[0] <= until]
    return "\n".join(f"    {row!r:.300}" for row in shown[-most:])


def replay(rows):
    model = Model()
    for row in rows:
        try:
            model.apply(row)
        except (AssertionError, IndexError, KeyError) as error:
            keys = {row[1], *([row[3][0]] if row[2] in (b"RENAME", b"COPY") else [])}
            text = f"{row!r:.300} cannot have happened here: {error}\n{show(rows, keys, row[0])}"
            raise AssertionError(text) from error
    return model


def scores(words):
    """A sorted set as it is read, in order."""
    pairs = list(zip(words[::2], words[1::2]))
    if sorted(pairs, key=lambda pair: (float(pair[1]), pair[0])) != pairs:
        raise AssertionError(f"a sorted set is out of order: {pairs!r:.600}")
    return Scores(pairs)


def dump(port):
    """The server's keyspace: value and end of each key, by the name of its stream."""
    client = connect(port, 2)
    found = dump_database(client)
    # Where MOVE has put keys.
    client.execute_command("SELECT", 1)
    return found | {b"db1/" + key: value for key, value in dump_database(client).items()}


def dump_database(client):
    """The same of the selected database, by key."""
    keys, cursor = set(), b"0"
    while True:
        cursor, some = client.execute_command("SCAN", cursor, "COUNT", 1000)
        keys.update(some)
        if cursor == b"0":
            break
    listed = client.execute_command("KEYS", "*")
    if sorted(listed) != sorted(keys) or client.execute_command("DBSIZE") != len(keys):
        raise AssertionError(f"SCAN finds {len(keys)} keys, KEYS {len(listed)}, DBSIZE {client.execute_command('DBSIZE')}")
    read = {
        b"string": (["GET"], [], lambda value: value),
        b"hash": (["HGETALL"], [], lambda words: Hash(zip(words[::2], words[1::2]))),
        b"list": (["LRANGE"], [0, -1], list),
        b"set": (["SMEMBERS"], [], set),
        b"zset": (["ZRANGE"], [0, -1, "WITHSCORES"], scores),
        b"stream": (["XINFO", "STREAM"], ["FULL", "COUNT", 0], stream_of_info),
    }
    found = {}
    for key in keys:
        kind = client.execute_command("TYPE", key)
        command, rest, make = read[kind]
        value = make(client.execute_command(*command, key, *rest))
        if kind == b"hash":
            ends = client.execute_command("HPEXPIRETIME", key, "FIELDS", len(value), *value)
            value.ends = {field: end for field, end in zip(value, ends) if end >= 0}
        found[key] = (value, client.execute_command("PEXPIRETIME", key))
    return found


def compare(model, found, rows):
    made = {key: (forget_seen(value), model.ends.get(key, -1)) for key, value in model.values.items()}
    wrong = sorted(key for key in made.keys() | found.keys() if made.get(key) != found.get(key))
    if wrong:
        told = [f"{len(wrong)} keys differ between the server and what its events make:"]
        for key in wrong[:5]:
            told.append(f"  {key!r}\n  server: {found.get(key)!r:.600}\n  events: {made.get(key)!r:.600}")
            told.append(show(rows, {key}))
        raise AssertionError("\n".join(told))
