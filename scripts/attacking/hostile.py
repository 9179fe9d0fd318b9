"""Hostile clients. Each attack is a function that runs in a process of its own until that is ended, which closes all of
its connections at once; it calls `ready` when everything is under way."""

import dataclasses
import select
import socket
import struct
import threading
import time

from attacking.wire import Wire, connect, encode

ATTACKS = {}


@dataclasses.dataclass(frozen=True)
class Attack:
    """What is done to a server, and what may come of it."""

    name: str
    about: str
    run: callable
    # Before anything is measured, over a connection.
    prepare: callable = lambda wire, scale: None
    # Removes what it leaves by right, before the memory is looked at again.
    clean: callable = None
    # How much the resident memory may grow meanwhile, MiB: what it stores, and what connections and their input take.
    grows_mib: int = 256
    # It leaves replies or events unread: they may take what --clients-output-bytes says, and one reply for each client,
    # which `grows_mib` has.
    is_unread: bool = False
    # It is one long command, for which others wait on redis-server too: that runs beside it.
    is_long: bool = False
    # Whether redis-server has the commands.
    in_redis: bool = False
    # Whether it is for the port of TLS.
    is_tls: bool = False
    # Further ones of the server.
    flags: tuple = ()
    in_short: bool = False


def attack(name, **options):
    def register(function):
        ATTACKS[name] = Attack(name, function.__doc__.strip().splitlines()[0], function, **options)
        return function

    return register


def large_list(wire, _scale):
    """A list of 10 MB."""
    wire.ask_all(("RPUSH", "big", *["x" * 100] * 1000) for _ in range(100))


def large_values(wire, _scale):
    wire.ask_all(("SET", f"mb{number}", b"x" * 1_000_000) for number in range(8))


def large_lists(wire, _scale):
    """Three lists of 1 MB, on whichever shards."""
    for key in ("big1", "big2{a}", "big3{b}"):
        wire.ask_all(("RPUSH", key, *["x" * 100] * 1000) for _ in range(10))


def many_keys(wire, scale, count=1_000_000, name="key:{:07}:xxxxxxxx"):
    step = 1000
    wire.ask_all(
        ("MSET", *(word for n in range(first, first + step) for word in (name.format(n), "v")))
        for first in range(0, int(count * scale), step)
    )


def many_long_keys(wire, scale):
    many_keys(wire, scale, 300_000, "key:" + "a" * 100 + "{:07}")


def long_list(wire, scale):
    wire.ask_all(("RPUSH", "long", *["x" * 8] * 1000) for _ in range(int(1000 * scale)))


def delete(*names):
    """What deletes keys."""
    return lambda wire: wire.ask_all(("DEL", *names[first : first + 1000]) for first in range(0, len(names), 1000))


def destroy_groups(wire):
    # One by one: their patterns together are large.
    for row in wire.ask("CDC.GROUP", "LIST"):
        wire.ask("CDC.GROUP", "DESTROY", row[0], row[1])


def flood(connections, data, ready, drained=False):
    """Sends the same data on all of them, as far as it is taken; reads what comes, or never."""
    left = {each: memoryview(data) for each in connections}
    by_number = {each.fileno(): each for each in connections}
    poll = select.poll()
    for each in connections:
        each.setblocking(False)
        poll.register(each, select.POLLOUT | (select.POLLIN if drained else 0))
    ready()
    while True:
        for number, event in poll.poll(1000):
            each = by_number[number]
            try:
                if event & select.POLLIN:
                    each.recv(1 << 18)
                if event & select.POLLOUT:
                    left[each] = left[each][each.send(left[each][: 1 << 16]) :]
                    if not left[each]:
                        poll.modify(each, select.POLLIN if drained else 0)
                if event & (select.POLLHUP | select.POLLERR):
                    poll.unregister(each)
            except BlockingIOError:
                pass
            except OSError:
                poll.unregister(each)


def hold(connections, ready):
    """Keeps connections open."""
    ready()
    while connections:
        time.sleep(1)


@attack("lists-unread", is_unread=True, grows_mib=456, prepare=large_list, is_long=True, in_redis=True)
def lists_unread(port, scale, ready):
    """20 clients pipeline LRANGE of a list of 10 MB and read nothing"""
    flood([connect(port, 4096) for _ in range(20)], encode("LRANGE", "big", 0, -1) * 1000, ready)


@attack("values-unread", is_unread=True, grows_mib=356, prepare=large_values, in_redis=True, in_short=True)
def values_unread(port, scale, ready):
    """100 clients pipeline GET of values of 1 MB and read nothing"""
    flood([connect(port, 4096) for _ in range(100)], encode("GET", "mb0") * 500 + encode("GET", "mb1") * 500, ready)


@attack("slow-senders", in_redis=True, in_short=True)
def slow_senders(port, scale, ready):
    """1,000 clients announce a value or a key of 500 MB and send a byte per second"""
    clients = [connect(port) for _ in range(int(1000 * scale))]
    # Too long a value is refused at once, a key may be of any length.
    commands = [b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$500000000\r\n", b"*2\r\n$3\r\nGET\r\n$500000000\r\n"]
    for number, each in enumerate(clients):
        each.sendall(commands[number % 2])
        each.setblocking(False)
    ready()
    while True:
        for each in clients:
            try:
                each.send(b"x")
            except OSError:
                pass
        time.sleep(1)


@attack("idle-connections", in_redis=True)
def idle_connections(port, scale, ready):
    """9,000 connections that send nothing"""
    hold([connect(port) for _ in range(int(9000 * scale))], ready)


@attack("connection-storm", in_redis=True, in_short=True)
def connection_storm(port, scale, ready):
    """Connections that are reset in the middle of a command, as many as can be made"""
    ready()
    while True:
        try:
            with socket.socket() as each:
                each.settimeout(1)
                each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                each.connect(("127.0.0.1", port))
                each.send(b"*1\r\n$4\r\nPI")
        except OSError:
            pass


@attack("half-closed", is_unread=True, grows_mib=1256, prepare=large_values, in_redis=True)
def half_closed(port, scale, ready):
    """1,000 clients ask for 20 MB each, end their side, and read nothing"""
    clients = []
    for number in range(int(1000 * scale)):
        each = connect(port, 4096)
        each.sendall(encode("GET", f"mb{number % 8}") * 20)
        each.shutdown(socket.SHUT_WR)
        clients.append(each)
    hold(clients, ready)


@attack("large-transaction", clean=delete(*(f"m{number}" for number in range(10_000))), grows_mib=1024, is_long=True, in_redis=True)
def large_transaction(port, scale, ready):
    """A transaction of 1,000,000 SETs"""
    client = connect(port)
    client.sendall(encode("MULTI"))
    part = b"".join(encode("SET", f"m{number}", "x") for number in range(10_000))
    flood([client], part * int(100 * scale) + encode("EXEC"), ready, drained=True)


@attack("subscriptions", is_unread=True)
def subscriptions(port, scale, ready):
    """100 clients subscribe to everything 1,000 times and read nothing"""
    flood([connect(port, 4096) for _ in range(100)], encode("HELLO", 3) + encode("CDC.SUBSCRIBE", "$all") * 1000, ready)


def subscribe_by_regexes(port, scale, ready, clients, each_of, regex):
    made = [connect(port, 1 << 16) for _ in range(clients)]
    for at, client in enumerate(made):
        client.settimeout(60)
        numbers = range(at * each_of, at * each_of + int(each_of * scale))
        words = [encode("CDC.SUBSCRIBE", "$all", "FROM", "END", "REGEX", regex(number)) for number in numbers]
        client.sendall(encode("HELLO", 3) + b"".join(words))
    hold(made, ready)


@attack("regexes", in_short=True)
def regexes(port, scale, ready):
    """1,000 subscriptions by regexes that are costly to match"""
    regex = lambda n: f"[0-9]{{2,6}}0{n % 10}.*{n:03x}|(a|b|ab)*{n}c|.*.*.*x{n}.*y"
    subscribe_by_regexes(port, scale, ready, 5, 200, regex)


@attack("large-regexes")
def large_regexes(port, scale, ready):
    """1,000 subscriptions by regexes that are large when compiled"""
    regex = lambda n: rf"(?:\w{{1,6}}q{n}){{1,2}}[a-z]{{500,3000}}"
    subscribe_by_regexes(port, scale, ready, 4, 250, regex)


@attack("costly-globs")
def costly_globs(port, scale, ready):
    """50 subscriptions by globs of 4,000 characters, and writes of keys of 8 KB"""
    client = connect(port, 1 << 16)
    words = [encode("CDC.SUBSCRIBE", "$all", "FROM", "END", "MATCH", "*" + "a" * 4000 + f"{n}b") for n in range(50)]
    client.sendall(encode("HELLO", 3) + b"".join(words))
    ready()
    with Wire(port, timeout=120) as wire:
        while True:
            wire.ask_all([("SET", "a" * 8000, "1")] * 20)


@attack("groups", clean=destroy_groups, grows_mib=1024)
def groups(port, scale, ready):
    """8 clients make groups with patterns of 48 KB until they are refused"""

    def make(number):
        with Wire(port, timeout=60) as wire:
            pattern = b"?[ab]" * 9_600 + b"%d" % number
            for at in range(100_000):
                try:
                    wire.ask("CDC.GROUP", "CREATE", pattern, f"g{number}-{at}", "$")
                except OSError:
                    return

    for number in range(8):
        threading.Thread(target=make, args=(number,), daemon=True).start()
    hold([True], ready)


@attack("waiting-readers", in_short=True)
def waiting_readers(port, scale, ready):
    """5,000 readers wait for events that do not come"""
    clients = [connect(port) for _ in range(int(5000 * scale))]
    for each in clients:
        each.sendall(encode("CDC.READ", "$", "COUNT", 1, "PREFIX", 1, "nobody:", "BLOCK", 0))
    hold(clients, ready)


@attack("waiting-workers", prepare=lambda wire, scale: wire.ask("CDC.GROUP", "CREATE", "nobody:*", "g", "$"))
def waiting_workers(port, scale, ready):
    """1,000 workers of a group wait for events that do not come"""
    clients = [connect(port) for _ in range(int(1000 * scale))]
    for each in clients:
        each.sendall(encode("CDC.GROUP", "READ", "nobody:*", "g", "c", 1, "BLOCK", 0))
    hold(clients, ready)


@attack("waiting-poppers", in_short=True, in_redis=True)
def waiting_poppers(port, scale, ready):
    """1,000 clients wait for elements of 50 lists each, to which another one pushes and from which it pops at once"""
    lists = [f"list:{n}" for n in range(50)]
    clients = [connect(port) for _ in range(int(1000 * scale))]
    for each in clients:
        each.sendall(encode("BLPOP", *lists, 0))
    ready()
    with Wire(port, timeout=300) as wire:
        while True:
            wire.ask_all(words for key in lists for words in [("RPUSH", key, "x"), ("LPOP", key)])


def repeat(port, ready, *words):
    ready()
    with Wire(port, timeout=300) as wire:
        while True:
            wire.ask(*words)


@attack("keys", prepare=many_keys, is_long=True, in_redis=True)
def keys(port, scale, ready):
    """KEYS with a costly pattern over 1,000,000 keys, again and again"""
    repeat(port, ready, "KEYS", "*a*b*c*d*e*f*g*")


@attack("scan", prepare=many_long_keys, is_long=True, in_redis=True)
def scan(port, scale, ready):
    """SCAN with COUNT 1,000,000 and a costly pattern over 300,000 keys, again and again"""
    repeat(port, ready, "SCAN", 0, "MATCH", "*a" * 40 + "*b", "COUNT", 1_000_000)


@attack("long-pattern", is_long=True, in_redis=True)
def long_pattern(port, scale, ready):
    """SCAN with a pattern of 120 MB"""
    ready()
    with Wire(port, timeout=300) as wire:
        wire.ask("SCAN", 0, "MATCH", b"[a]" * int(40_000_000 * scale))
        hold([wire], lambda: None)


@attack("window-of-another-core", is_unread=True, prepare=large_lists, in_redis=True, in_short=True)
def window_of_another_core(port, scale, ready):
    """4 clients ask for much of other cores' shards after having asked for little, and read nothing"""
    clients = []
    for _ in range(4):
        wire = Wire(port)
        for key in ("big1", "big2{a}", "big3{b}"):
            wire.ask_all(("LLEN", key) for _ in range(5000))
        clients.append(wire)
    data = b"".join(encode("LRANGE", key, 0, -1) for key in ("big1", "big2{a}", "big3{b}")) * 1400
    flood([wire.socket for wire in clients], data, ready)


def send_long(port, head, length, part, end=b"\r\n"):
    """Sends a command whose argument of `length` bytes repeats `part`, waits for a reply, and keeps the connection."""
    client = connect(port, timeout=60)
    client.sendall(head)
    try:
        for _ in range(length // len(part)):
            client.sendall(part)
        client.sendall(part[: length % len(part)] + end)
        client.recv(200)
    except OSError:
        pass
    hold([client], lambda: None)


def send_long_twice(port, ready, *arguments):
    """Calls `send_long` on two connections at once, with `arguments` for the first and the second."""
    for each in arguments:
        threading.Thread(target=send_long, args=(port, *each), daemon=True).start()
    hold([True], ready)


@attack("large-values", clean=delete("huge0", "huge1"), is_long=True, in_redis=True)
def large_values_written(port, scale, ready):
    """2 clients write a value of 512 MB each"""
    length = int((512 << 20) * scale)
    heads = [b"*3\r\n$3\r\nSET\r\n$5\r\nhuge%d\r\n$%d\r\n" % (number, length) for number in range(2)]
    send_long_twice(port, ready, *((head, length, b"x" * (1 << 20)) for head in heads))


@attack("large-keys", grows_mib=2200, is_long=True, in_redis=True)
def large_keys(port, scale, ready):
    """2 clients ask for a key of 512 MB each"""
    length = int((512 << 20) * scale)
    send_long_twice(port, ready, *[(b"*2\r\n$3\r\nGET\r\n$%d\r\n" % length, length, b"x" * (1 << 20))] * 2)


@attack("large-argument")
def large_argument(port, scale, ready):
    """2 clients make a group with a pattern of 400 MB"""
    length = int((400 << 20) * scale)
    head, end = b"*5\r\n$9\r\nCDC.GROUP\r\n$6\r\nCREATE\r\n$%d\r\n" % length, b"\r\n$1\r\ng\r\n$1\r\n0\r\n"
    send_long_twice(port, ready, *[(head, length, b"[a]?" * (1 << 18), end)] * 2)


@attack("open-transactions", grows_mib=2300, in_redis=True)
def open_transactions(port, scale, ready):
    """8 clients queue SETs of 1 MB in transactions, up to 900 MB each, and never execute them"""
    data = encode("MULTI") + encode("SET", "k", b"x" * 1_000_000) * int(900 * scale)
    flood([connect(port) for _ in range(8)], data, ready, drained=True)


@attack("flush-with-subscriptions")
def flush_with_subscriptions(port, scale, ready):
    """20 clients with 1,000 subscriptions each, and FLUSHDB again and again"""

    def flush():
        with Wire(port, timeout=60) as wire:
            while True:
                wire.ask("FLUSHDB")

    threading.Thread(target=flush, daemon=True).start()
    clients = [connect(port, 1 << 16) for _ in range(20)]
    words = encode("HELLO", 3) + encode("CDC.SUBSCRIBE", "nobody", "FROM", "END") * int(1000 * scale)
    flood(clients, words, ready, drained=True)


@attack("heavy-pipeline", prepare=long_list, is_long=True, in_redis=True)
def heavy_pipeline(port, scale, ready):
    """A pipeline of 20,000 LPOS over a list of 1,000,000"""
    flood([connect(port)], encode("LPOS", "long", "y") * 20_000, ready)


@attack("subscribers-of-a-busy-writer")
def subscribers_of_a_busy_writer(port, scale, ready):
    """50 subscribers that read everything, and a writer at full speed"""

    def write():
        with Wire(port, timeout=60) as wire:
            while True:
                wire.ask_all(("SET", f"w{number}", "x" * 50) for number in range(1000))

    threading.Thread(target=write, daemon=True).start()
    flood(
        [connect(port) for _ in range(50)], encode("HELLO", 3) + encode("CDC.SUBSCRIBE", "$all", "FROM", "END"), ready,
        drained=True,
    )
