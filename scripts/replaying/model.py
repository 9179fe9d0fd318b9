"""A keyspace made of events alone, and its comparison with the server's."""

from replaying.load import connect


class Scores(dict):
    """A sorted set: the text of the score of each member."""


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

    def RENAME(self, key, source, kind, *parts):
        made = {
            b"string": lambda: parts[0],
            b"hash": lambda: dict(zip(parts[::2], parts[1::2])),
            b"list": lambda: list(parts),
            b"set": lambda: set(parts),
            b"zset": lambda: Scores(zip(parts[1::2], parts[::2])),
        }[kind]()
        assert self.values.get(source) == made, f"the source holds {self.values.get(source)!r:.200}"
        self.ends.pop(key, None)
        self.values[key] = made

    def HSET(self, key, field, value):
        self.of(key, dict, make=True)[field] = value

    def HDEL(self, key, field):
        assert self.of(key, dict).pop(field, None) is not None, "there is no such field"
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
            keys = {row[1], *([row[3][0]] if row[2] == b"RENAME" else [])}
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
        b"hash": (["HGETALL"], [], lambda words: dict(zip(words[::2], words[1::2]))),
        b"list": (["LRANGE"], [0, -1], list),
        b"set": (["SMEMBERS"], [], set),
        b"zset": (["ZRANGE"], [0, -1, "WITHSCORES"], scores),
    }
    found = {}
    for key in keys:
        kind = client.execute_command("TYPE", key)
        command, rest, make = read[kind]
        found[key] = (make(client.execute_command(*command, key, *rest)), client.execute_command("PEXPIRETIME", key))
    return found


def compare(model, found, rows):
    made = {key: (value, model.ends.get(key, -1)) for key, value in model.values.items()}
    wrong = sorted(key for key in made.keys() | found.keys() if made.get(key) != found.get(key))
    if wrong:
        told = [f"{len(wrong)} keys differ between the server and what its events make:"]
        for key in wrong[:5]:
            told.append(f"  {key!r}\n  server: {found.get(key)!r:.600}\n  events: {made.get(key)!r:.600}")
            told.append(show(rows, {key}))
        raise AssertionError("\n".join(told))
