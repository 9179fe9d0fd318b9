"""How each client is run, and what it needs. A client is a program that finds the servers in its environment, ends with
status 0 where all came out right, and says in a line what it is."""

import os
import shutil
import subprocess

SECONDS = 600
HERE = os.path.dirname(os.path.abspath(__file__))


class Missing(Exception):
    """What the client needs is not there; the text says what."""


CLIENTS = {}


def client(name):
    def register(function):
        CLIENTS[name] = function
        return function

    return register


def run(words, servers, directory=HERE):
    return subprocess.run(
        words, cwd=directory, env=servers.environment(), capture_output=True, text=True, timeout=SECONDS
    )


def need(program, of):
    if not shutil.which(program):
        raise Missing(f"{program} is not installed ({of})")


@client("redis-cli")
def redis_cli(_root, servers):
    need("redis-cli", "Debian: redis-tools")
    return run(["bash", os.path.join(HERE, "redis_cli.sh")], servers)


@client("redis-py")
def redis_py(root, servers):
    candidates = [os.path.join(root, ".venv", "bin", "python3"), shutil.which("python3")]
    for python in filter(None, candidates):
        if os.path.exists(python) and subprocess.run([python, "-c", "import redis"], capture_output=True).returncode == 0:
            return run([python, os.path.join(HERE, "redis_py.py")], servers)
    raise Missing("redis-py is not installed (scripts/test installs it; pip install redis)")


@client("ioredis")
def ioredis(root, servers):
    need("node", "Debian: nodejs")
    need("npm", "Debian: npm")
    place = os.path.join(root, "target", "clients")
    if not os.path.exists(os.path.join(place, "node_modules", "ioredis")):
        os.makedirs(place, exist_ok=True)
        words = ["npm", "install", "--prefix", place, "--no-audit", "--no-fund", "--silent", "ioredis@5"]
        done = subprocess.run(words, capture_output=True, text=True)
        if done.returncode != 0:
            raise Missing(f"npm cannot install ioredis: {done.stderr.strip()[-200:]}")
    # Modules are looked for beside the program.
    program = shutil.copy(os.path.join(HERE, "ioredis.mjs"), place)
    return run(["node", program], servers, place)


@client("redis-rs")
def redis_rs(root, servers):
    need("cargo", "rustup.rs")
    built = subprocess.run(["cargo", "build", "-q", "-p", "keytide", "--example", "redis_rs"], cwd=root, capture_output=True, text=True)
    if built.returncode != 0:
        raise Missing(f"its program cannot be built: {built.stderr.strip()[-500:]}")
    return run([os.path.join(root, "target", "debug", "examples", "redis_rs")], servers)
