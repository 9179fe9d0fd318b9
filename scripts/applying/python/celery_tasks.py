"""celery: tasks with results, a group with a chord, one with a countdown, over its transport and its backend."""

from celery import Celery, chord
from celery.contrib.testing.worker import start_worker
from where import URL

app = Celery("celery_tasks", broker=URL, backend=URL)
app.conf.worker_hijack_root_logger = False


@app.task(name="add")
def add(a, b):
    return a + b


@app.task(name="total")
def total(numbers):
    return sum(numbers)


if __name__ == "__main__":
    with start_worker(app, perform_ping_check=False, pool="solo", loglevel="ERROR"):
        results = [add.delay(n, 1) for n in range(20)]
        assert [result.get(timeout=60) for result in results] == list(range(1, 21))
        assert chord([add.s(n, n) for n in range(5)])(total.s()).get(timeout=60) == 20
        assert add.apply_async((2, 3), countdown=1).get(timeout=60) == 5
