"""What a server costs that has nothing to do: CPU with no client and with many idle ones, and memory of a client."""

import resource
import time

from comparing.rounds import Run, measure
from comparing.servers import Failed, command, keytides, peers
from comparing.tables import Ratio, Value

CLIENTS = 1000
SETTLE_SECONDS = 0.5


def share(server, seconds):
    """Percent of a core that it uses while nothing happens."""
    time.sleep(SETTLE_SECONDS)
    before, start = server.cpu_seconds(), time.monotonic()
    time.sleep(seconds)
    return {"share": 100 * (server.cpu_seconds() - before) / (time.monotonic() - start)}


def share_with_clients(server, seconds):
    """The same beside clients that have asked once each, with the memory that each added."""
    clients, before = [], server.memory_bytes()
    try:
        for _ in range(CLIENTS):
            client = server.connect()
            clients.append(client)
            client.sendall(command("PING"))
            if client.recv(64) != b"+PONG\r\n":
                raise Failed(f"client {len(clients)} is not served")
        time.sleep(SETTLE_SECONDS)
        memory = server.memory_bytes() - before
        return {"memory": memory / CLIENTS / 1024, **share(server, seconds)}
    finally:
        for client in clients:
            client.close()


def measured(args):
    """For a table: results, unit, columns, settings."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = CLIENTS + 200
    if soft != resource.RLIM_INFINITY and soft < wanted:
        if hard != resource.RLIM_INFINITY and hard < wanted:
            raise Failed(f"{wanted} open files are needed, `ulimit -n` allows {hard}")
        # Servers inherit it.
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    one, seconds = {args.server_core}, args.idle_seconds
    servers = peers(args, one) + keytides(args, one, flags=())

    def prepare(server):
        return [
            Run("no client", server.label, server.role, lambda: share(server, seconds)),
            Run(f"{CLIENTS:,} idle clients", server.label, server.role, lambda: share_with_clients(server, seconds)),
        ]

    results = measure("idle", servers, prepare, 1)
    columns = [Value("CPU % of a core", "share"), Value("KiB of memory/client", "memory", 1), Ratio("memory", "redis")]
    settings = f"over {seconds:g} s; memory: resident in the process, without the kernel's sockets; default --spin-us"
    return results, "Clients", columns, settings
