"""rq: jobs through a queue, their results, one that fails and is tried again, one that is scheduled."""

from datetime import timedelta

import redis
import rq
from where import DB, PORT


def add(a, b):
    return a + b


def fail():
    raise ValueError("on purpose")


if __name__ == "__main__":
    import rq_jobs

    connection = redis.Redis(port=PORT, db=DB)
    queue = rq.Queue(connection=connection)
    jobs = [queue.enqueue(rq_jobs.add, n, 1) for n in range(20)]
    failing = queue.enqueue(rq_jobs.fail, retry=rq.Retry(max=2))
    queue.enqueue_in(timedelta(hours=1), rq_jobs.add, 1, 1)
    rq.SimpleWorker([queue], connection=connection).work(burst=True, logging_level="CRITICAL")
    assert [job.return_value() for job in jobs] == list(range(1, 21))
    assert failing.get_status() == "failed" and len(queue.failed_job_registry) == 1
    assert len(queue.scheduled_job_registry) == 1 and len(queue.finished_job_registry) == 20
