"""taskiq: tasks over a list and over a Redis stream, with results."""

import asyncio

from taskiq.receiver import Receiver
from taskiq_redis import ListQueueBroker, RedisAsyncResultBackend, RedisStreamBroker
from where import URL


async def work(kind, name):
    broker = kind(URL, queue_name=name).with_result_backend(RedisAsyncResultBackend(URL))

    @broker.task(task_name=f"add:{name}")
    async def add(a, b):
        return a + b

    await broker.startup()
    finished = asyncio.Event()
    listening = asyncio.create_task(Receiver(broker, max_async_tasks=4, run_startup=False).listen(finished))
    tasks = [await add.kiq(n, 1) for n in range(20)]
    results = [await task.wait_result(timeout=30) for task in tasks]
    assert [result.return_value for result in results] == list(range(1, 21))
    finished.set()
    await asyncio.wait([listening], timeout=10)
    await broker.shutdown()


asyncio.run(work(ListQueueBroker, "list"))
asyncio.run(work(RedisStreamBroker, "stream"))
