"""arq: jobs, unique ones, and results."""

import asyncio

from arq import create_pool
from arq.connections import RedisSettings
from arq.worker import Worker
from where import DB, PORT


async def add(_context, a, b):
    return a + b


async def main():
    settings = RedisSettings(port=PORT, database=DB)
    pool = await create_pool(settings)
    jobs = [await pool.enqueue_job("add", n, 1) for n in range(20)]
    assert await pool.enqueue_job("add", 1, 1, _job_id="own")
    assert await pool.enqueue_job("add", 1, 1, _job_id="own") is None
    worker = Worker([add], redis_settings=settings, burst=True, handle_signals=False)
    await worker.main()
    assert [await job.result(timeout=30) for job in jobs] == list(range(1, 21))
    await worker.close()


asyncio.run(main())
