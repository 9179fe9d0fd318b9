"""The applications, and how each is installed and started. An application is a program that finds the server in its environment
(PORT, DB) and ends with status 0 where its main job was done."""

import os
import shutil
import subprocess
from dataclasses import dataclass

HERE = os.path.dirname(os.path.abspath(__file__))
INSTALL_SECONDS = 600


class Missing(Exception):
    """What the application needs is not there; the text says what."""


def install(words, directory=None):
    try:
        done = subprocess.run(words, cwd=directory, capture_output=True, text=True, timeout=INSTALL_SECONDS)
    except subprocess.TimeoutExpired:
        raise Missing(f"{words[0]} has not ended after {INSTALL_SECONDS} s") from None
    if done.returncode != 0:
        raise Missing(f"{' '.join(words[:3])}: {done.stderr.strip()[-300:]}")


def need(program, of):
    if not shutil.which(program):
        raise Missing(f"{program} is not installed ({of})")


def is_installed(place, listed):
    """Whether what this file lists was installed there."""
    mark = os.path.join(place, "installed")
    return os.path.exists(mark) and open(mark).read() == open(listed).read()


def note_installed(place, listed):
    shutil.copy(listed, os.path.join(place, "installed"))


@dataclass
class Application:
    program: str
    # Whether it changes keys: some only publish.
    writes: bool = True


@dataclass
class Python(Application):
    # The list of packages that it is installed with: some want an older redis-py than others.
    packages: str = "redis-5"

    def prepare(self, place):
        place = os.path.join(place, f"python-{self.packages}")
        listed = os.path.join(HERE, "python", f"{self.packages}.txt")
        python = os.path.join(place, "bin", "python3")
        if not is_installed(place, listed):
            need("python3", "Debian: python3-venv")
            install(["python3", "-m", "venv", place])
            install([python, "-m", "pip", "install", "--quiet", "--requirement", listed])
            note_installed(place, listed)
        return [python, f"{self.program}.py"], os.path.join(HERE, "python")


class Node(Application):
    def prepare(self, place):
        place = os.path.join(place, "node")
        listed = os.path.join(HERE, "node", "package.json")
        if not is_installed(place, listed):
            need("npm", "Debian: npm")
            os.makedirs(place, exist_ok=True)
            shutil.copy(listed, place)
            install(["npm", "install", "--no-audit", "--no-fund", "--silent"], place)
            note_installed(place, listed)
        # Modules are looked for beside the program.
        for name in (f"{self.program}.mjs", "where.mjs"):
            shutil.copy(os.path.join(HERE, "node", name), place)
        return ["node", f"{self.program}.mjs"], place


class Go(Application):
    def prepare(self, place):
        need("go", "go.dev")
        place = os.path.join(place, "go")
        os.makedirs(place, exist_ok=True)
        binary = os.path.join(place, self.program)
        install(["go", "build", "-o", binary, f"./{self.program}"], os.path.join(HERE, "go"))
        return [binary], place


class Java(Application):
    def prepare(self, place):
        for program in ("java", "javac", "mvn"):
            need(program, "Debian: default-jdk-headless, maven")
        place = os.path.join(place, "java")
        pom = os.path.join(HERE, "java", "pom.xml")
        jars = os.path.join(place, "lib")
        if not is_installed(place, pom):
            os.makedirs(place, exist_ok=True)
            install(["mvn", "-q", "-f", pom, "dependency:copy-dependencies", f"-DoutputDirectory={jars}"])
            note_installed(place, pom)
        install(["javac", "-nowarn", "-cp", f"{jars}/*", "-d", place, os.path.join(HERE, "java", f"{self.program}.java")])
        return ["java", "-cp", f"{jars}/*:{place}", self.program], place


APPLICATIONS = {
    "rq": Python("rq_jobs"),
    "huey": Python("huey_tasks"),
    "arq": Python("arq_jobs"),
    "celery": Python("celery_tasks", packages="redis-newest"),
    "celery-redbeat": Python("redbeat_schedule"),
    "dramatiq": Python("dramatiq_actors"),
    "saq": Python("saq_jobs", packages="redis-newest"),
    "taskiq": Python("taskiq_tasks", packages="taskiq"),
    "bullmq-python": Python("bullmq_jobs", packages="redis-newest"),
    "walrus": Python("walrus_types"),
    "limits": Python("limits_rates"),
    "django-redis": Python("django_cache"),
    "channels-redis": Python("channels_layer"),
    "apscheduler": Python("apscheduler_jobs"),
    "locks": Python("locks"),
    "flask": Python("flask_extensions"),
    "caches-python": Python("caches"),
    "cashews": Python("cashews_cache", packages="redis-newest"),
    "bullmq": Node("bullmq"),
    "bull": Node("bull"),
    "bee-queue": Node("bee_queue"),
    "limits-node": Node("limits"),
    "connect-redis": Node("sessions"),
    "socket.io": Node("socket_io"),
    "redlock": Node("redlock"),
    "graphql": Node("graphql", writes=False),
    "caches-node": Node("caches"),
    "changes": Node("changes"),
    "asynq": Go("asynq"),
    "redsync": Go("redsync"),
    "centrifuge": Go("centrifuge"),
    "rueidis": Go("rueidis"),
    "redisson": Java("RedissonObjects"),
    "spring-session": Java("IndexedSessions"),
}

# One of each kind: queues by lists, by scripts, by streams; locks, limits, channels, caches.
SHORT = ["rq", "huey", "celery", "taskiq", "limits", "bullmq", "socket.io", "redlock"]
