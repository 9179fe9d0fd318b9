"""saq: jobs by a worker, with results and a scheduled one."""

import asyncio
import time

from saq import Queue, Worker
from where import URL


async def add(_context, *, a, b):
    return a + b


async def main():
    queue = Queue.from_url(URL)
    worker = Worker(queue, functions=[add], concurrency=4)
    running = asyncio.create_task(worker.start())
    jobs = [await queue.enqueue("add", a=n, b=1) for n in range(20)]
    for job in jobs:
        await job.refresh(30)
    assert [job.result for job in jobs] == list(range(1, 21))
    later = await queue.enqueue("add", a=2, b=3, scheduled=int(time.time()) + 1)
    await later.refresh(30)
    assert later.result == 5
    await worker.stop()
    running.cancel()
    await queue.disconnect()


asyncio.run(main())
