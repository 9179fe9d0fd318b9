"""Writers that expect revisions, all at one stream; and writers that repeat what they do not know the end of, while the server is
killed again and again. BINARY is the server, DIRECTORY an empty directory, SHARDS how many there are."""

import os
import random
import signal
import subprocess
import threading
import time
import uuid

from kurrentdbclient import KurrentDBClient, NewEvent, StreamState
from kurrentdbclient.events import NewEvents
from kurrentdbclient.exceptions import KurrentDBClientError, WrongCurrentVersionError

WRITERS, EVENTS = 16, 15


class Server:
    def __init__(self):
        self.port, self.process = "any", None
        self.start()

    def start(self):
        words = [BINARY, "--port", "0", "--grpc-port", self.port, "--dir", DIRECTORY, "--shards", SHARDS, "--ring-bytes", "4m"]
        environment = {**os.environ, "KEYTIDE_HEAP_BYTES": "0", "KEYTIDE_LOG_LEVEL": "error"}
        for _ in range(50):
            self.process = subprocess.Popen(words, stdout=subprocess.PIPE, env=environment, text=True)
            ready = dict(word.split("=", 1) for word in self.process.stdout.readline().split() if "=" in word)
            if "grpc" in ready:
                self.port = ready["grpc"].rpartition(":")[2]
                return
            # Its port is still the killed one's.
            self.process.wait()
            time.sleep(0.1)
        raise AssertionError("the server does not start")

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.process.stdout.close()

    def client(self):
        return KurrentDBClient(f"kurrentdb://127.0.0.1:{self.port}?tls=false")


def together(count, work):
    failed = []

    def run(n):
        try:
            work(n)
        except BaseException as error:
            failed.append(error)
            raise

    threads = [threading.Thread(target=run, args=(n,), daemon=True) for n in range(count)]
    for thread in threads:
        thread.start()
    return threads, failed


server = Server()
stream = f"raced-{uuid.uuid4()}"


def race(n):
    client = server.client()
    for number in range(EVENTS):
        event = NewEvent(type="Raced", data=b"%d %d" % (n, number))
        while True:
            version = client.get_current_version(stream)
            try:
                # Both versions of the protocol, alone and with another stream.
                if number % 3 == 0:
                    client.append_event(stream, current_version=version, event=event)
                elif number % 3 == 1:
                    client.append_events(stream, current_version=version, events=[event])
                else:
                    own = NewEvents(f"{stream}-{n}", [NewEvent(type="Raced", data=b"")], StreamState.ANY)
                    client.multi_append_to_stream([own, NewEvents(stream, [event], version)])
                break
            except WrongCurrentVersionError:
                pass
    client.close()


threads, failed = together(WRITERS, race)
for thread in threads:
    thread.join()
assert not failed, failed
client = server.client()
events = client.get_stream(stream)
assert [e.stream_position for e in events] == list(range(WRITERS * EVENTS))
for n in range(WRITERS):
    own = [int(e.data.split()[1]) for e in events if int(e.data.split()[0]) == n]
    assert own == list(range(EVENTS)), (n, own)
    # What was refused has appended nothing beside it.
    assert len(client.get_stream(f"{stream}-{n}")) == EVENTS // 3
client.close()

# Killed in between: each writer repeats what it has no answer of.
streams = [f"killed-{n}-{uuid.uuid4()}" for n in range(6)]
counts, is_over = [0] * len(streams), threading.Event()


def write(n):
    client, number, repeated = None, 0, 0
    while not is_over.is_set():
        event = NewEvent(type="Kept", data=b"%d" % number)
        version = StreamState.ANY if n % 2 else (number - 1 if number else StreamState.NO_STREAM)
        while True:
            try:
                client = client or server.client()
                if n < 4:
                    client.append_event(streams[n], current_version=version, event=event, timeout=5)
                else:
                    client.multi_append_to_stream([NewEvents(streams[n], [event], version)], timeout=5)
                break
            except WrongCurrentVersionError as error:
                raise AssertionError(f"{streams[n]} {number}: {error}") from error
            except KurrentDBClientError:
                repeated += 1
                client = client and client.close()
                time.sleep(0.02)
        number += 1
        counts[n] = number
    client.close()


threads, failed = together(len(streams), write)
seed = random.randrange(1 << 32)
print("seed", seed)
pause = random.Random(seed)
for _ in range(6):
    time.sleep(pause.uniform(0.1, 0.6))
    server.kill()
    server.start()
time.sleep(0.3)
is_over.set()
for thread in threads:
    thread.join(60)
    assert not thread.is_alive()
assert not failed, (seed, failed)
client = server.client()
for name, count in zip(streams, counts):
    events = client.get_stream(name)
    assert count > 0 and [int(e.data) for e in events] == list(range(count)), (seed, name, count, len(events))
client.close()
server.kill()
