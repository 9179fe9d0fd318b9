"""A subscription to the changes of one database, which counts them."""

import socket
import threading

# What each event begins with, as a message of a subscription.
EVENT = b"$9\r\ncdc.event\r\n"


def command(*words):
    words = [word.encode() for word in words]
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)


class Changes:
    def __init__(self, port, database):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self.socket.sendall(command("CDC.SUBSCRIBE", "$all", "FROM", "END", "PREFIX", "1", f"db{database}/"))
        assert self.socket.recv(100).startswith(b":"), "the server does not take the subscription"
        self.socket.settimeout(None)
        self.seen, self.rest, self.is_over = 0, b"", threading.Event()
        self.thread = threading.Thread(target=self.read, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.thread.join()
        self.socket.close()

    def read(self):
        while received := self.socket.recv(1 << 16):
            both = self.rest + received
            self.seen += both.count(EVENT)
            # An event may begin at the end of one part. What was counted is not kept.
            self.rest = both[max(both.rfind(EVENT) + len(EVENT), len(both) - len(EVENT) + 1) :]
            if b"pong" in received:
                self.is_over.set()

    def count(self):
        """How many changes there were up to now."""
        self.socket.sendall(command("PING"))
        self.is_over.wait(30)
        return self.seen
