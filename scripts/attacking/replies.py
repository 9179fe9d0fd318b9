"""Cases about single replies: commands that are answered wrongly, or that leave something behind."""

import select
import threading
import time

from attacking.cases import case, expect
from attacking.wire import ReplyError, Subscriber, Wire, connect, encode, fields

# What redis-server 7.0 has in a line of CLIENT LIST, and clients read.
CLIENT_FIELDS = (
    "id addr laddr fd name age idle flags db sub psub ssub multi qbuf qbuf-free argv-mem multi-mem rbs rbp obl oll omem "
    "tot-mem events cmd user redir resp"
).split()


@case("exec-with-an-argument")
def exec_with_an_argument(run):
    """EXEC with an argument ends the transaction, with EXECABORT"""
    with Wire(run.start("--ring-bytes", "1m").port) as wire:
        wire.ask("MULTI")
        wire.ask("SET", "k", "1")
        reply, ping = wire.ask("EXEC", "x"), wire.ask("PING")
        expect(str(reply).startswith("EXECABORT") and ping == b"PONG", f"EXEC x: {reply!r}, then PING: {ping!r}")


@case("randomkey-in-multi")
def randomkey_in_multi(run):
    """RANDOMKEY in MULTI finds a key"""
    for shards in (1, 2, 8):
        with Wire(run.start("--ring-bytes", "1m", shards=shards).port) as wire:
            wire.ask_all(("SET", f"k{n}", "1") for n in range(50))
            wire.ask("MULTI")
            wire.ask("RANDOMKEY")
            reply = wire.ask("EXEC")
            expect(reply[0] is not None, f"{shards} shards: EXEC of RANDOMKEY over 50 keys: {reply!r}")


@case("client-info-fields")
def client_info_fields(run):
    """CLIENT INFO and CLIENT LIST have the fields that clients parse"""
    with Wire(run.start("--ring-bytes", "1m").port) as wire:
        for command in (("CLIENT", "INFO"), ("CLIENT", "LIST")):
            line = wire.ask(*command).decode().splitlines()[0]
            missing = set(CLIENT_FIELDS) - {word.split("=", 1)[0] for word in line.split()}
            expect(not missing, f"{' '.join(command)} lacks {sorted(missing)}")


@case("web-page")
def web_page(run):
    """A POST of a web page to the port runs nothing"""
    server = run.start("--ring-bytes", "1m")
    for request in ("POST / HTTP/1.1\r\nHost: 127.0.0.1\r\n", "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n"):
        with connect(server.port) as browser:
            browser.sendall(request.encode() + b"Content-Type: text/plain\r\n\r\nSET pwned by-a-page\r\nPING\r\n")
            read_to_end(browser)
        with Wire(server.port) as wire:
            value = wire.ask("GET", "pwned")
            expect(value is None, f"the body of {request[:4].strip()} has written {value!r}")


def read_to_end(socket):
    """Reads until the other side closes; one that does not is left after the socket's timeout."""
    socket.settimeout(5)
    try:
        while socket.recv(1 << 16):
            pass
    except TimeoutError:
        raise AssertionError("the connection of a web page is not closed") from None
    except OSError:
        pass


@case("next-revision")
def next_revision(run):
    """A subscription from a revision that is not there yet misses no event"""
    server = run.start("--ring-bytes", "1m")
    with Wire(server.port) as wire:
        subscriber = Subscriber(server.port, "new", "FROM", "0")
        if isinstance(subscriber.answer, ReplyError):
            return f"refused: {subscriber.answer}"
        wire.ask_all([("SET", "new", "first"), ("SET", "new", "second")])
        messages = subscriber.until("cdc.event", "cdc.dropped")
        kind, words = messages[-1]
        if kind == "cdc.event":
            expect(words[2] == 0, f"the first event told has revision {words[2]}, 0 was skipped")
        return kind


@case("checkpoint-twice")
def checkpoint_twice(run):
    """No checkpoint is told twice, and none goes back"""
    server, stop = run.start("--ring-bytes", "4m"), threading.Event()

    def write():
        with Wire(server.port) as wire:
            number = 0
            while not stop.is_set():
                wire.ask("SET", f"w:{number % 50}", "x")
                number += 1
                time.sleep(0.0003)

    with Wire(server.port) as wire:
        head = fields(wire.ask("CDC.INFO"))["head_seq"]
    writer = threading.Thread(target=write, daemon=True)
    writer.start()
    twice = back = 0
    count = 100 if run.short else 300
    try:
        for number in range(count):
            subscriber, last = Subscriber(server.port, "$all", "PREFIX", 1, "nothing", "FROM", head), -1
            for _ in range(12 + number // 8):
                kind, words = subscriber.next()
                if kind == "cdc.checkpoint":
                    twice, back, last = twice + (words[0] == last), back + (words[0] < last), words[0]
            subscriber.close()
    finally:
        stop.set()
        writer.join()
    expect(not twice and not back, f"of {count} subscriptions {twice} were told one twice, {back} one that goes back")


@case("large-rename")
def large_rename(run):
    """A large collection that was built aside can be renamed over the live one"""
    with Wire(run.start("--ring-bytes", "16m").port) as wire:
        fills = [
            ("HSET", "aside", *(word for n in range(first, first + 500) for word in (f"f{n}", "v" * 100)))
            for first in range(0, 60_000, 500)
        ]
        refused = [reply for reply in wire.ask_all(fills) if isinstance(reply, ReplyError)]
        expect(not refused, f"HSET: {refused[:1]}")
        reply, length = wire.ask("RENAME", "aside", "live"), wire.ask("HLEN", "live")
        expect(reply == b"OK" and length == 60_000, f"RENAME of a hash of 6 MB, ring of 16 MB: {reply!r}, HLEN {length}")
        reply = wire.ask("COPY", "live", "second")
        unknown = "unknown command" in str(reply)
        expect(unknown or reply == 1, f"COPY of it: {reply!r}")


@case("pipeline-before-reading")
def pipeline_before_reading(run):
    """A client that writes a long pipeline before it reads gets its replies"""
    count, size = 600_000, 100
    server = run.start("--ring-bytes", "1m")
    for key in ("a", "b"):
        with Wire(server.port, timeout=60) as wire:
            value = b"x" * size
            wire.ask("SET", key, value)
            data, sent = encode("GET", key) * count, 0
            wire.socket.setblocking(False)
            while sent < len(data):
                ready = select.select([], [wire.socket], [], 5)[1]
                expect(ready, f"stuck for 5 s after {sent} of {len(data)} bytes of commands")
                try:
                    sent += wire.socket.send(data[sent : sent + (1 << 18)])
                except BlockingIOError:
                    pass
            wire.socket.settimeout(60)
            expect(all(wire.reply() == value for _ in range(count)), "a reply is wrong")
    return f"2 × {count} replies of {size} bytes"
