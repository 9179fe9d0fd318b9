"""The load: random commands of every kind, and the processes that send them."""

import collections
import random
import subprocess
import time
import uuid

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

SOCKET_TIMEOUT = 30
# Short TTLs end while the load runs, or soon after; long ones outlast the run. Those in seconds take one at least.
SHORT_MS, LONG_MS, SETTLE_MS = 300, 3_600_000, 2500
# How long a command waits for an element at the most.
WAIT_SECONDS = 0.01
# What a command may answer when it meets a key that does not fit.
EXPECTED_ERRORS = (
    "WRONGTYPE",
    "WRONGREVISION",
    "value is not an integer or out of range",
    "value is not a valid float",
    "increment or decrement would overflow",
    "hash value is not an integer",
    "hash value is not a float",
    "no such key",
    "resulting score is not a number",
    "index out of range",
    "equal or smaller than the target stream top item",
    "smaller than the target stream",
    "NOGROUP",
    "BUSYGROUP",
    "XGROUP subcommand requires the key to exist",
    "Corrupted HLL object detected",
    "not a valid HyperLogLog",
    "could not decode requested zset member",
    "One or more scores can't be converted into double",
)


def crc16(data):
    crc = 0
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ 0x1021 if crc & 0x8000 else crc << 1) & 0xFFFF
    return crc


def shard_of(key, shards):
    """The shard of a key: its slot as in Redis Cluster, slots in runs of equal length."""
    start = key.find(b"{")
    end = key.find(b"}", start + 1)
    tag = key[start + 1 : end] if start >= 0 and end > start + 1 else key
    return crc16(tag) % 16384 * shards // 16384


KEYS = {
    "string": [b"str:%d" % n for n in range(60)] + [b"key:%012d" % n for n in range(20)] + [b"", b"\xff\x00\r\n"],
    "bits": [b"bits:%d" % n for n in range(20)],
    "sketch": [b"sketch:%d" % n for n in range(10)],
    "int": [b"int:%d" % n for n in range(30)],
    "float": [b"float:%d" % n for n in range(30)],
    "hash": [b"hash:%d" % n for n in range(60)],
    "list": [b"list:%d" % n for n in range(60)],
    "set": [b"set:%d" % n for n in range(60)],
    "sorted": [b"sorted:%d" % n for n in range(60)],
    "stream": [b"stream:%d" % n for n in range(30)],
    # So many that most are absent when MSETNX, SETNX and RENAMENX ask.
    "sparse": [b"sparse:%d" % n for n in range(4000)],
    # Any type, and two keys that are always on one shard.
    "any": [b"any:%d" % n for n in range(20)] + [b"{tag}1", b"{tag}2"],
}
POOLS = list(KEYS)
TEXTS = [b"", b"a", b"text", b"\x00\xff\r\n", b"3.5", b"12", b"x" * 70]
# A string, a list, a set, a hash and a stream with a group, as DUMP has them.
DUMPS = [
    b"\x00\x04text\n\x00|\xf3&m\xca\xb5\xa51",
    b"\x01\x02\x01a\x01b\n\x002\xa8\x90~\xd5\x03\x1aE",
    b"\x02\x02\x02m1\x02m2\n\x009\xb7#D\x0e\x17\x97\x9b",
    b"\x04\x01\x06field1\x01v\n\x008\x81\x80\xba`(i\xfb",
    (
        b"\x13\x01\x10\x00\x00\x00\x00\x00\x00\x00\x05\x00\x00\x00\x00\x00\x00\x00\x01\xc349\x079\x00\x00\x00\x16\x00"
        b"\x02\x01@\x00\x07\x81f\x02\x00\x01\x02\x01\x00 \x01\x03\x81v\x02\x04`\n \x15\x00w \n@\x00\x01\xdf\xff &\x08"
        b"\x81g\x02\x81x\x02\x06\x01\xff\x02\x06\x00\x05\x01\x06\x00\x03\x01\x01g\x05\x02\x02\x01\x00\x00\x00\x00\x00"
        b"\x00\x00\x05\x00\x00\x00\x00\x00\x00\x00\x028\xaa\xe71\xa2\x01\x00\x00\x01\x01\x01c8\xaa\xe71\xa2\x01\x00\x00"
        b"\x01\x00\x00\x00\x00\x00\x00\x00\x05\x00\x00\x00\x00\x00\x00\x00\x02\n\x00\xddjU\xe1\xc6\xf3E\x8d"
    ),
]
ELEMENTS = [b"e%d" % n for n in range(12)]
MEMBERS = [b"m%d" % n for n in range(40)]
SCORES = [0, "-0", 0.1, -2.5, "inf", "-inf", 1e300, "5e-324", 1795245375708]


def counted_ids(ids):
    return ["IDS", len(ids), *ids]


class Maker:
    """Makes random commands."""

    def __init__(self, rng):
        self.rng = rng

    def key(self, pool):
        roll = self.rng.random()
        if roll < 0.04:
            pool = "any"
        elif roll < 0.06:
            pool = self.rng.choice(POOLS)
        return self.rng.choice(KEYS[pool])

    def references(self):
        return self.rng.choice([[], ["KEEPREF"], ["DELREF"], ["ACKED"]])

    def pair(self):
        """Two keys, mostly made for one type."""
        pool = self.rng.choice(POOLS)
        return [self.key(pool), self.key(pool)]

    def distinct_pair(self):
        first, second = self.pair()
        return [first, second if second != first else b"copied"]

    def sorting(self):
        return self.rng.choice([[], ["DESC"], ["BY", "str:*", "LIMIT", 1, 5], ["GET", "#", "GET", "int:*"]])

    def some(self, make, most=4):
        return [make() for _ in range(self.rng.randint(1, most))]

    def value(self):
        roll = self.rng.random()
        if roll < 0.01:
            return self.rng.randbytes(self.rng.randint(1000, 8000))
        return self.rng.choice(TEXTS) if roll < 0.4 else b"v%d" % self.rng.randrange(10**6)

    def number(self):
        return self.rng.randint(-1000, 1000)

    def element(self):
        return self.rng.choice(ELEMENTS) if self.rng.random() < 0.9 else self.value()

    def field(self):
        return b"field%d" % self.rng.randrange(30)

    def pairs(self, first, second):
        return [word for _ in range(self.rng.randint(1, 4)) for word in (first(), second())]

    def ms(self):
        return self.rng.randint(1, SHORT_MS) if self.rng.random() < 0.5 else self.rng.randint(LONG_MS, 2 * LONG_MS)

    def seconds(self):
        return 1 if self.rng.random() < 0.4 else self.rng.randint(LONG_MS // 1000, LONG_MS // 500)

    def at_ms(self):
        ahead = -1000 if self.rng.random() < 0.05 else self.ms()
        return int(time.time() * 1000) + ahead

    def at_seconds(self):
        ahead = -1 if self.rng.random() < 0.05 else self.seconds()
        return int(time.time()) + ahead

    def ttl(self, *more):
        """A TTL as SET and GETEX take it, or none."""
        make = {"EX": self.seconds, "PX": self.ms, "EXAT": self.at_seconds, "PXAT": self.at_ms}
        word = self.rng.choice([*make, *more, None])
        return [] if word is None else [word, make[word]()] if word in make else [word]

    def set_options(self):
        options = self.rng.choice([[], [], ["NX"], ["XX"]]) + self.rng.choice([[], [], ["GET"]])
        return options + self.ttl("KEEPTTL")

    def condition(self):
        return self.rng.choice([[], [], [], ["NX"], ["XX"], ["GT"], ["LT"], ["XX", "GT"]])

    def any_key(self):
        return self.key(self.rng.choice(POOLS))

    def ends(self):
        return [self.rng.choice(["LEFT", "RIGHT"]), self.rng.choice(["LEFT", "RIGHT"])]

    def count(self):
        return [] if self.rng.random() < 0.6 else [self.rng.randint(0, 4)]

    def score(self):
        return self.rng.choice(SCORES) if self.rng.random() < 0.2 else self.rng.randint(-300, 300)

    def scored(self):
        # Now and then more than a packed one has, which a removal by score makes small again.
        most = 200 if self.rng.random() < 0.03 else 4
        names = [b"many%d" % n for n in range(300)] if most > 4 else MEMBERS
        return [word for _ in range(self.rng.randint(1, most)) for word in (self.score(), self.rng.choice(names))]

    def rule(self):
        return self.rng.choice([[], [], [], [], ["NX"], ["XX"], ["GT"], ["LT", "CH"], ["XX", "GT"]])

    def sources(self):
        keys = [self.key("sorted"), self.key(self.rng.choice(["sorted", "set"]))]
        return [2, *keys, *self.rng.choice([[], ["WEIGHTS", 2, -1], ["AGGREGATE", "MIN"], ["AGGREGATE", "MAX"]])]

    def tenth(self):
        # Tenths of a second, so that entries are met again.
        return int(time.time() * 10) * 100

    def id(self):
        return b"%d-%d" % (self.tenth() - 100 * self.rng.randrange(5), self.rng.randrange(3))

    def trim(self):
        how = self.rng.choice([["MAXLEN", self.rng.randint(0, 60)], ["MINID", self.id()]])
        return [how[0], self.rng.choice(["=", "~"]), how[1]]

    def consumer(self):
        return [self.rng.choice([b"g", b"h"]), self.rng.choice([b"c", b"d", b"e"])]

    def place(self):
        return [self.rng.uniform(-180, 180), self.rng.uniform(-85, 85)]

    def fields(self):
        """Some fields as the commands on their TTLs take them."""
        names = self.some(self.field)
        return ["FIELDS", len(names), *names]

    def field_pairs(self):
        words = self.pairs(self.field, self.value)
        return ["FIELDS", len(words) // 2, *words]

    def one_condition(self):
        return self.rng.choice([[], [], [], ["NX"], ["XX"], ["GT"], ["LT"]])

    def past_or(self, make):
        return -5 if self.rng.random() < 0.05 else make()

    def event_options(self):
        roll = self.rng.random()
        if roll < 0.3:
            return ["META", self.value()]
        if roll < 0.5:
            return ["ID", str(uuid.UUID(int=self.rng.getrandbits(128)))]
        return ["EXPECT", self.rng.choice(["any", "exists", "none", 3])] if roll < 0.7 else []

    def read(self):
        kind = self.rng.choice(["string", "hash", "list", "set", "sorted", "stream"])
        reads = {"string": ["GET"], "hash": ["HGETALL"], "list": ["LRANGE"], "set": ["SMEMBERS"], "sorted": ["ZRANGE"]}
        reads["stream"] = ["XLEN"]
        command = reads[kind]
        return self.rng.choice([["PTTL", self.any_key()], ["EXISTS", self.any_key(), self.any_key()],
                                [*command, self.key(kind), *([0, -1] if kind in ("list", "sorted") else [])]])

    def command(self):
        return self.read() if self.rng.random() < 0.05 else self.write(self.rng.choices(NAMES, WEIGHTS)[0])

    def write(self, name):
        return [*name.split(), *WRITES[name](self)]


# The arguments of every write command.
WRITES = {
    "SET": lambda g: [g.key("string"), g.value(), *g.set_options()],
    "SETNX": lambda g: [g.key(g.rng.choice(["string", "sparse"])), g.value()],
    "SETEX": lambda g: [g.key("string"), g.seconds(), g.value()],
    "PSETEX": lambda g: [g.key("string"), g.ms(), g.value()],
    "GETSET": lambda g: [g.key("string"), g.value()],
    "GETDEL": lambda g: [g.key("string")],
    "GETEX": lambda g: [g.key("string"), *g.ttl("PERSIST")],
    "APPEND": lambda g: [g.key("string"), g.value()],
    "SETRANGE": lambda g: [g.key("string"), g.rng.randrange(200), g.value()],
    "SETBIT": lambda g: [g.key("bits"), g.rng.randrange(3000), g.rng.randrange(2)],
    "BITFIELD": lambda g: [g.key("bits"), "OVERFLOW", "SAT", "INCRBY", "u7", g.rng.randrange(900), 9, "SET", "i33", "#5", -1],
    "BITOP": lambda g: [g.rng.choice(["AND", "OR", "XOR", "ONE"]), g.key("bits"), g.key("bits"), g.key("string")],
    "PFADD": lambda g: [g.key("sketch"), *g.some(g.value, most=60)],
    "PFMERGE": lambda g: [g.key("sketch"), g.key("sketch"), g.key("sketch")],
    "INCR": lambda g: [g.key("int")],
    "DECR": lambda g: [g.key("int")],
    "INCRBY": lambda g: [g.key("int"), g.number()],
    "DECRBY": lambda g: [g.key("int"), g.number()],
    "INCRBYFLOAT": lambda g: [g.key("float"), g.number() / 8],
    "MSET": lambda g: g.pairs(lambda: g.key("string"), g.value),
    "MSETNX": lambda g: g.pairs(lambda: g.key("sparse"), g.value),
    "DEL": lambda g: g.some(g.any_key),
    "UNLINK": lambda g: g.some(g.any_key),
    "EXPIRE": lambda g: [g.any_key(), g.past_or(g.seconds), *g.condition()],
    "PEXPIRE": lambda g: [g.any_key(), g.past_or(g.ms), *g.condition()],
    "EXPIREAT": lambda g: [g.any_key(), g.at_seconds(), *g.condition()],
    "PEXPIREAT": lambda g: [g.any_key(), g.at_ms(), *g.condition()],
    "PERSIST": lambda g: [g.any_key()],
    "RENAME": lambda g: g.pair(),
    "RENAMENX": lambda g: [g.any_key(), g.key("sparse")],
    "MOVE": lambda g: [g.any_key(), 1],
    "COPY": lambda g: [*g.distinct_pair(), *g.rng.choice([[], ["REPLACE"]])],
    "RESTORE": lambda g: [g.any_key(), g.rng.choice([0, g.ms()]), g.rng.choice(DUMPS), "REPLACE"],
    "SORT": lambda g: [g.key(g.rng.choice(["list", "set", "sorted"])), "ALPHA", *g.sorting(), "STORE", g.key("list")],
    "HSET": lambda g: [g.key("hash"), *g.pairs(g.field, g.value)],
    "HMSET": lambda g: [g.key("hash"), *g.pairs(g.field, g.value)],
    "HSETNX": lambda g: [g.key("hash"), g.field(), g.value()],
    "HDEL": lambda g: [g.key("hash"), *g.some(g.field)],
    "HINCRBY": lambda g: [g.key("hash"), b"int%d" % g.rng.randrange(5), g.number()],
    "HINCRBYFLOAT": lambda g: [g.key("hash"), b"float%d" % g.rng.randrange(5), g.number() / 8],
    "HEXPIRE": lambda g: [g.key("hash"), g.seconds(), *g.one_condition(), *g.fields()],
    "HPEXPIRE": lambda g: [g.key("hash"), g.ms(), *g.one_condition(), *g.fields()],
    "HEXPIREAT": lambda g: [g.key("hash"), g.at_seconds(), *g.one_condition(), *g.fields()],
    "HPEXPIREAT": lambda g: [g.key("hash"), g.at_ms(), *g.one_condition(), *g.fields()],
    "HPERSIST": lambda g: [g.key("hash"), *g.fields()],
    "HGETEX": lambda g: [g.key("hash"), *g.ttl("PERSIST"), *g.fields()],
    "HSETEX": lambda g: [g.key("hash"), *g.rng.choice([[], [], ["FNX"], ["FXX"]]), *g.ttl("KEEPTTL"), *g.field_pairs()],
    "HGETDEL": lambda g: [g.key("hash"), *g.fields()],
    "LPUSH": lambda g: [g.key("list"), *g.some(g.element)],
    "RPUSH": lambda g: [g.key("list"), *g.some(g.element)],
    "LPUSHX": lambda g: [g.key("list"), *g.some(g.element)],
    "RPUSHX": lambda g: [g.key("list"), *g.some(g.element)],
    "LPOP": lambda g: [g.key("list"), *g.count()],
    "RPOP": lambda g: [g.key("list"), *g.count()],
    "LSET": lambda g: [g.key("list"), g.rng.randint(-4, 4), g.element()],
    "LREM": lambda g: [g.key("list"), g.rng.randint(-2, 2), g.element()],
    "LTRIM": lambda g: [g.key("list"), g.rng.randint(-10, 3), g.rng.randint(-3, 20)],
    "LINSERT": lambda g: [g.key("list"), g.rng.choice(["BEFORE", "AFTER"]), g.rng.choice(ELEMENTS), g.element()],
    "LMOVE": lambda g: [g.key("list"), g.key("list"), *g.ends()],
    "RPOPLPUSH": lambda g: [g.key("list"), g.key("list")],
    "LMPOP": lambda g: [2, g.key("list"), g.key("list"), g.ends()[0]],
    "BLPOP": lambda g: [g.key("list"), g.key("list"), WAIT_SECONDS],
    "BRPOP": lambda g: [g.key("list"), g.key("list"), WAIT_SECONDS],
    "BLMPOP": lambda g: [WAIT_SECONDS, 2, g.key("list"), g.key("list"), g.ends()[0]],
    "BLMOVE": lambda g: [g.key("list"), g.key("list"), *g.ends(), WAIT_SECONDS],
    "BRPOPLPUSH": lambda g: [g.key("list"), g.key("list"), WAIT_SECONDS],
    "SADD": lambda g: [g.key("set"), *g.some(lambda: g.rng.choice(MEMBERS))],
    "SREM": lambda g: [g.key("set"), *g.some(lambda: g.rng.choice(MEMBERS))],
    "SMOVE": lambda g: [g.key("set"), g.key("set"), g.rng.choice(MEMBERS)],
    "SPOP": lambda g: [g.key("set"), *g.count()],
    "SINTERSTORE": lambda g: [g.key("set"), g.key("set"), g.key("set")],
    "SUNIONSTORE": lambda g: [g.key("set"), g.key("set"), g.key("set")],
    "SDIFFSTORE": lambda g: [g.key("set"), g.key("set"), g.key("set")],
    "ZADD": lambda g: [g.key("sorted"), *g.rule(), *g.scored()],
    "ZINCRBY": lambda g: [g.key("sorted"), g.score(), g.rng.choice(MEMBERS)],
    "ZREM": lambda g: [g.key("sorted"), *g.some(lambda: g.rng.choice(MEMBERS))],
    "ZREMRANGEBYRANK": lambda g: [g.key("sorted"), g.rng.randint(-5, 5), g.rng.randint(-5, 5)],
    "ZREMRANGEBYSCORE": lambda g: [g.key("sorted"), g.rng.randint(-300, 300), "(300"],
    "ZREMRANGEBYLEX": lambda g: [g.key("sorted"), "[m1", "(m2"],
    "ZPOPMIN": lambda g: [g.key("sorted"), *g.count()],
    "ZPOPMAX": lambda g: [g.key("sorted"), *g.count()],
    "ZMPOP": lambda g: [2, g.key("sorted"), g.key("sorted"), g.rng.choice(["MIN", "MAX"])],
    "BZPOPMIN": lambda g: [g.key("sorted"), g.key("sorted"), WAIT_SECONDS],
    "BZPOPMAX": lambda g: [g.key("sorted"), g.key("sorted"), WAIT_SECONDS],
    "BZMPOP": lambda g: [WAIT_SECONDS, 2, g.key("sorted"), g.key("sorted"), "MIN", "COUNT", 3],
    "ZRANGESTORE": lambda g: [g.key("sorted"), g.key("sorted"), "-inf", g.score(), "BYSCORE"],
    "ZUNIONSTORE": lambda g: [g.key("sorted"), *g.sources()],
    "ZINTERSTORE": lambda g: [g.key("sorted"), *g.sources()],
    "ZDIFFSTORE": lambda g: [g.key("sorted"), *g.sources()[:3]],
    "XADD": lambda g: [g.key("stream"), *(g.trim() if g.rng.random() < 0.2 else []), b"%d-*" % g.tenth(), *g.pairs(g.field, g.value)],
    "XDEL": lambda g: [g.key("stream"), *g.some(g.id)],
    "XDELEX": lambda g: [g.key("stream"), *g.references(), *counted_ids(g.some(g.id))],
    "XTRIM": lambda g: [g.key("stream"), *g.trim()],
    "XSETID": lambda g: [g.key("stream"), g.id()],
    "XGROUP CREATE": lambda g: [g.key("stream"), g.consumer()[0], g.rng.choice(["0", "$"]), "MKSTREAM"],
    "XGROUP SETID": lambda g: [g.key("stream"), g.consumer()[0], g.rng.choice(["0", "$", g.id()])],
    "XGROUP DESTROY": lambda g: [g.key("stream"), b"h"],
    "XGROUP CREATECONSUMER": lambda g: [g.key("stream"), *g.consumer()],
    "XGROUP DELCONSUMER": lambda g: [g.key("stream"), *g.consumer()],
    "XREADGROUP": lambda g: ["GROUP", *g.consumer(), "COUNT", g.rng.randint(1, 5), "STREAMS", g.key("stream"), g.rng.choice([">", ">", ">", "0"])],
    "XACK": lambda g: [g.key("stream"), g.consumer()[0], *g.some(g.id)],
    "XACKDEL": lambda g: [g.key("stream"), g.consumer()[0], *g.references(), *counted_ids(g.some(g.id))],
    "XCLAIM": lambda g: [g.key("stream"), *g.consumer(), 0, *g.some(g.id), *g.rng.choice([[], ["FORCE"], ["JUSTID"]])],
    "XAUTOCLAIM": lambda g: [g.key("stream"), *g.consumer(), g.rng.choice([0, 50]), "-", "COUNT", 3],
    "GEOADD": lambda g: [g.key("sorted"), *g.place(), g.rng.choice(MEMBERS), *g.place(), g.rng.choice(MEMBERS)],
    "GEOSEARCHSTORE": lambda g: [g.key("sorted"), g.key("sorted"), "FROMLONLAT", *g.place(), "BYRADIUS", 3000, "km"],
    "GEORADIUS": lambda g: [g.key("sorted"), *g.place(), 5000, "km", "STOREDIST", g.key("sorted")],
    "GEORADIUSBYMEMBER": lambda g: [g.key("sorted"), g.rng.choice(MEMBERS), 9000, "km", "STORE", g.key("sorted")],
    "CDC.APPEND": lambda g: [g.any_key(), b"Noted", g.value(), *g.event_options()],
    "FLUSHDB": lambda g: [],
    "FLUSHALL": lambda g: [],
}
FLUSHES = ("FLUSHDB", "FLUSHALL")
NAMES = [name for name in WRITES if name not in FLUSHES]
# Those that fill the collections come more often than those that empty them.
WEIGHTS = [2 if name in ("SET", "HSET", "LPUSH", "RPUSH", "SADD", "SMOVE", "LMOVE", "ZADD", "XADD", "XREADGROUP") else 1 for name in NAMES]
# The keys of the commands that take several.
KEYS_OF = {
    **dict.fromkeys(["MSET", "MSETNX"], slice(1, None, 2)),
    **dict.fromkeys(["DEL", "UNLINK"], slice(1, None)),
    **dict.fromkeys(["RENAME", "RENAMENX", "COPY", "LMOVE", "RPOPLPUSH", "SMOVE", "BLMOVE", "BRPOPLPUSH"], slice(1, 3)),
    **dict.fromkeys(["BLPOP", "BRPOP"], slice(1, 3)),
    **dict.fromkeys(["SINTERSTORE", "SUNIONSTORE", "SDIFFSTORE", "PFMERGE"], slice(1, None)),
    "BITOP": slice(2, None),
    "LMPOP": slice(2, 4),
    "BLMPOP": slice(3, 5),
    "ZMPOP": slice(2, 4),
    "BZMPOP": slice(3, 5),
    **dict.fromkeys(["BZPOPMIN", "BZPOPMAX", "ZRANGESTORE", "GEOSEARCHSTORE"], slice(1, 3)),
}


def connect(port, protocol):
    """A connection that hands replies on as they came and never asks twice."""
    options = {"socket_timeout": SOCKET_TIMEOUT, "protocol": protocol, "retry": Retry(NoBackoff(), 0)}
    client = redis.Redis(port=port, single_connection_client=True, **options)
    client.response_callbacks.clear()
    return client


class Writer:
    """One process of the load."""

    def __init__(self, seed, number, commands, port, shards):
        self.rng = random.Random(f"{seed}/{number}")
        self.maker = Maker(self.rng)
        self.number, self.commands, self.shards = number, commands, shards
        self.client = connect(port, 2 + number % 2)
        self.sent, self.errors, self.spread = collections.Counter(), collections.Counter(), collections.Counter()
        self.appends, self.done, self.marks = [], 0, 0

    def run(self):
        while self.done < self.commands:
            roll = self.rng.random()
            if roll < 0.02:
                self.mark()
            elif roll < 0.55:
                command = self.next()
                self.take([command], [self.ask(*command)])
            else:
                self.several(transaction=roll > 0.8)
        return self.sent, self.errors, self.spread, self.appends

    def next(self):
        """The next command. Flushes come thick at the start, then rarely, and not at all towards the end."""
        part = self.done / self.commands
        flushes = 0.05 if part < 0.2 else 0.0003 if part < 0.8 else 0
        flush = self.rng.random() < flushes
        self.done += 1
        return [self.rng.choice(FLUSHES)] if flush else self.maker.command()

    def ask(self, *command):
        try:
            return self.client.execute_command(*command)
        except redis.ResponseError as error:
            return error

    def several(self, transaction):
        pipeline = self.client.pipeline(transaction=transaction)
        commands = [self.next() for _ in range(self.rng.randint(2, 8 if transaction else 40))]
        for command in commands:
            pipeline.execute_command(*command)
        if transaction:
            self.spread["MULTI", self.crosses([key for command in commands for key in command[1:2] if isinstance(key, bytes)])] += 1
        self.take(commands, pipeline.execute(raise_on_error=False))

    def mark(self):
        """An event that must come after this process's last one, and be there for whoever asks once it is acknowledged,
        as must a SET after it."""
        text = b"%d %d" % (self.number, self.marks)
        mark = ["CDC.APPEND", b"mark:%d" % self.rng.randrange(10), b"Mark", text]
        self.marks += 1
        reply = self.ask(*mark)
        commands, replies, told = [mark], [reply], [mark[1:]]
        if self.rng.random() < 0.5:
            # Another key, maybe on the other shard.
            commands.append(["SET", b"marked:%d" % self.rng.randrange(10), text])
            replies.append(self.ask(*commands[1]))
            told.append([commands[1][1], b"SET", text])
        self.done += len(commands)
        self.take(commands, replies)
        rows = self.ask("CDCPOLL", reply[0], 10_000)
        if rows[0][0] != reply[0] or any(event not in [row[1:4] for row in rows] for event in told):
            raise AssertionError(f"{commands} were answered {replies}, and CDCPOLL {reply[0]} does not see them: {rows}")

    def crosses(self, keys):
        return len({shard_of(key, self.shards) for key in keys}) > 1

    def take(self, commands, replies):
        for command, reply in zip(commands, replies, strict=True):
            name = " ".join(command[:2]) if command[0] == "XGROUP" else command[0]
            self.sent[name] += 1
            if name in KEYS_OF:
                self.spread[name, self.crosses(command[KEYS_OF[name]])] += 1
            if isinstance(reply, Exception):
                known = [text for text in EXPECTED_ERRORS if text in str(reply)]
                if not known:
                    raise AssertionError(f"{command} was answered {reply!r}")
                self.errors[known[0]] += 1
            elif name == "CDC.APPEND":
                self.appends.append((*reply, *command[1:4]))


def write(*arguments):
    return Writer(*arguments).run()


def benchmark(port, requests):
    """redis-benchmark, again and again with other commands, until it has sent about so many."""
    base = ["redis-benchmark", "-p", str(port), "-q", "-c", "8"]
    key = "key:__rand_int__"
    runs = [
        ["-P", "16", "-t", "set,incr,lpush,rpush,lpop,rpop,sadd,hset,spop,mset"],
        ["-P", "8", "MSET", key, "a", key, "b", "str:3", "c"],
        ["-P", "4", "SET", key, "short", "PX", "150"],
        ["-P", "1", "LMOVE", "mylist", "list:3", "LEFT", "RIGHT"],
        ["-P", "16", "DEL", key, key],
    ]
    for words in runs:
        each = requests // (len(runs) * (10 if "-t" in words else 1))
        run = subprocess.run([*base, "-n", str(each), "-r", "100", *words], capture_output=True, text=True, timeout=600)
        if run.returncode != 0 or "rror" in run.stdout + run.stderr:
            raise AssertionError(f"{' '.join(run.args)} failed:\n{run.stdout}{run.stderr}")
