"""Connections to a server: plain ones, subscribers, and the history as its readers see it."""

import socket


class ReplyError(Exception):
    """An error reply. `Wire` returns it, so that a case can look at it."""


class Push(list):
    """A message that nobody asked for."""


def encode(*words):
    words = [word if isinstance(word, bytes) else str(word).encode() for word in words]
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)


def connect(port, receive_bytes=None, timeout=30):
    """A bare socket; a small `receive_bytes` makes the client one that takes next to nothing."""
    made = socket.socket()
    if receive_bytes:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    made.settimeout(timeout)
    made.connect(("127.0.0.1", port))
    return made


class Wire:
    """A connection that sends commands and reads replies. Its end is a ConnectionError."""

    def __init__(self, port, timeout=30, resp3=False):
        self.socket = connect(port, timeout=timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.input = self.socket.makefile("rb", 1 << 16)
        self.pushes = []
        if resp3:
            self.ask("HELLO", 3)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.input.close()
        self.socket.close()

    def send(self, *words):
        self.socket.sendall(encode(*words))

    def ask(self, *words):
        self.send(*words)
        return self.reply()

    def ask_all(self, commands):
        """The replies to commands that are sent in pipelines."""
        replies, commands = [], list(commands)
        for first in range(0, len(commands), 500):
            part = commands[first : first + 500]
            self.socket.sendall(b"".join(encode(*words) for words in part))
            replies += [self.reply() for _ in part]
        return replies

    def reply(self):
        """The next reply; what is pushed before it is kept for `push`."""
        while isinstance(value := self.read(), Push):
            self.pushes.append(value)
        return value

    def push(self):
        """The next message that is pushed."""
        if self.pushes:
            return self.pushes.pop(0)
        while not isinstance(value := self.read(), Push):
            pass
        return value

    def read(self):
        line = self.input.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("the connection has ended")
        kind, text = line[:1], line[1:-2]
        if kind == b":":
            return int(text)
        if kind in b"$=":
            if text == b"-1":
                return None
            data = self.input.read(int(text) + 2)
            if len(data) < int(text) + 2:
                raise ConnectionError("the connection has ended")
            return data[:-2]
        if kind in b"*~":
            return None if text == b"-1" else [self.read() for _ in range(int(text))]
        if kind == b">":
            return Push(self.read() for _ in range(int(text)))
        if kind == b"%":
            return [self.read() for _ in range(2 * int(text))]
        if kind == b"_":
            return None
        if kind == b"-":
            return ReplyError(text.decode(errors="replace"))
        return text


class Subscriber:
    """A subscription on a connection of its own, in RESP3."""

    def __init__(self, port, *words, timeout=5):
        self.wire = Wire(port, timeout=timeout, resp3=True)
        self.answer = self.wire.ask("CDC.SUBSCRIBE", *words)

    def next(self):
        """The next message: its kind, and what follows the subscription's number."""
        message = self.wire.push()
        return message[0].decode(), message[2:]

    def until(self, *kinds):
        """All messages up to one of these kinds."""
        messages = [self.next()]
        while messages[-1][0] not in kinds:
            messages.append(self.next())
        return messages

    def close(self):
        self.wire.close()


def fields(reply):
    """A reply of names and values in turn, by the names."""
    return {name.decode(): value for name, value in zip(reply[::2], reply[1::2])}


def history(wire, start="START"):
    """All events from a position on, and the pages that told of a gap."""
    rows, gaps, cursor = [], [], start
    while True:
        page = wire.ask("CDC.READ", cursor, "COUNT", 5000)
        if isinstance(page, ReplyError):
            raise AssertionError(f"CDC.READ {cursor}: {page}")
        page = fields(page)
        rows += page["events"]
        if page["gap"]:
            gaps.append((cursor, page["lost"]))
        if not page["events"] and page["next_seq"] == cursor:
            return rows, gaps
        if not page["events"] and not page["gap"]:
            return rows, gaps
        cursor = page["next_seq"]


def info(wire, name, section="everything"):
    """A row of INFO as a number."""
    text = wire.ask("INFO", section).decode()
    rows = dict(line.split(":", 1) for line in text.split("\r\n") if ":" in line)
    return int(rows[name])
