"""BullMQ for Python: jobs by a worker, by priority, delayed."""

import asyncio

from bullmq import Queue, Worker
from where import URL


async def main():
    done = []

    async def process(job, _token):
        done.append(job.data["n"])
        return job.data["n"] + 1

    queue = Queue("numbers", {"connection": URL})
    worker = Worker("numbers", process, {"connection": URL})
    for n in range(20):
        await queue.add("add", {"n": n}, {"priority": n % 3})
    await queue.add("add", {"n": 20}, {"delay": 300})
    for _ in range(300):
        if len(done) == 21:
            break
        await asyncio.sleep(0.1)
    assert sorted(done) == list(range(21)), done
    await worker.close()
    await queue.close()


asyncio.run(main())
