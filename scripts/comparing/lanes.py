"""What it costs that a key is another shard's: Keytide with two shards, all clients on one of them.

The kernel gives a connection to either core, so this has its own small load: it opens connections, asks the server
which of them forward a command for a key of shard 0, and keeps those that don't. Over these it sends once keys of
shard 0 and once keys of shard 1, in batches; so both sides have the same connections, on the same core.
"""

import binascii
import os
import random
import re
import time

from comparing.rounds import Run, measure
from comparing.servers import Failed, command, keytides
from comparing.tables import Ratio, Value

SLOTS = 16384
PIPELINE = 16
# Commands with which a connection is tried; far more than INFO itself forwards.
TRIES = 64
REPLY = b"+OK\r\n"


def shard(key):
    """The shard of a key without a hash tag, of two."""
    return binascii.crc_hqx(key.encode(), 0) % SLOTS * 2 // SLOTS


def forwarded(server):
    return int(re.search(rb"commands_forwarded_total:(\d+)", server.ask(command("INFO")))[1])


def exchange(client, request, length):
    client.sendall(request)
    receive(client, length)


def receive(client, length):
    while length:
        got = len(client.recv(min(length, 1 << 16)))
        if not got:
            raise Failed("the server closed a connection")
        length -= got


def on_shard_0(server, count, key):
    """So many connections whose core owns shard 0."""
    found, others, probe = [], [], command("SET", key, "x") * TRIES
    try:
        # Half of all connections will do; chance alone doesn't take tenfold.
        for _ in range(10 * count):
            client = server.connect()
            before = forwarded(server)
            exchange(client, probe, len(REPLY) * TRIES)
            mine = forwarded(server) - before < TRIES
            (found if mine else others).append(client)
            if len(found) == count:
                return found
        raise Failed(f"of {10 * count} connections only {len(found)} are on shard 0's core")
    except BaseException:
        close(found)
        raise
    finally:
        close(others)


def close(clients):
    for client in clients:
        client.close()


def drive(server, clients, batches, seconds):
    """Every client always has one batch under way. Operations per second, and the server's CPU of one."""
    length, pick = len(REPLY) * PIPELINE, random.Random(1).choice
    for client in clients:
        client.sendall(pick(batches))
    before, start, operations = server.cpu_seconds(), time.monotonic(), 0
    while (elapsed := time.monotonic() - start) < seconds:
        for client in clients:
            receive(client, length)
            client.sendall(pick(batches))
        operations += PIPELINE * len(clients)
    cpu = server.cpu_seconds() - before
    for client in clients:
        receive(client, length)
    return {"rate": operations / elapsed, "cpu": cpu / operations * 1e6}


def beside(server, clients, batches, seconds):
    """`drive`, on the server's cores: one of them has nothing else to do while all keys are the other's."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, server.cores)
    try:
        return drive(server, clients, batches, seconds)
    finally:
        os.sched_setaffinity(0, before)


def measured(args, cores, seconds):
    """For a table: results, unit, columns, settings."""
    keys = [[], []]
    for number in range(args.keys):
        key = f"key:{number:012}"
        keys[shard(key)].append(key)
    shuffled, value = random.Random(2), b"x" * args.value_bytes
    batches = []
    for own in keys:
        shuffled.shuffle(own)
        sets = [command("SET", key, value) for key in own]
        batches.append([b"".join(sets[at : at + PIPELINE]) for at in range(0, len(sets) - PIPELINE + 1, PIPELINE)])

    def prepare(server):
        for of_shard in batches:
            for at in range(0, len(of_shard), 50):
                server.ask(b"".join(of_shard[at : at + 50]))
        clients = on_shard_0(server, args.connections, keys[0][0])
        case = f"SET, pipeline {PIPELINE}" + (f", {server.label}" if len(args.binary) > 1 else "")
        return [
            Run(case, label, role, lambda of_shard=of_shard: beside(server, clients, of_shard, seconds))
            for label, role, of_shard in (
                ("own shard's keys", "own", batches[0]),
                ("other shard's keys", "keytide", batches[1]),
            )
        ]

    results = measure("lanes", keytides(args, cores, shards=2), prepare, args.rounds)
    columns = [
        Value("operations/s", "rate", 0),
        Value("server CPU µs/op (min–max)", "cpu", 2, spread=True),
        Ratio("cpu", "own"),
    ]
    settings = (
        f"keytide --shards 2 --spin-us 0; {args.connections} connections, all on one core, each with {PIPELINE} "
        f"commands under way, from a small load of the script; runs of {seconds:g} s"
    )
    return results, "Operations", columns, settings
