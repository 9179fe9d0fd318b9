"""huey: tasks by consumers, by priority, delayed, and a lock, in each of its kinds of storage."""

from huey import PriorityRedisHuey, RedisExpireHuey, RedisHuey
from where import DB, PORT

for kind in (RedisHuey, PriorityRedisHuey, RedisExpireHuey):
    huey = kind(kind.__name__.lower(), port=PORT, db=DB)

    @huey.task()
    def add(a, b):
        return a + b

    @huey.task()
    @huey.lock_task("once")
    def locked():
        return 7

    consumer = huey.create_consumer(workers=2, initial_delay=0.01, max_delay=0.1)
    consumer.start()
    results = [add(n, 1) for n in range(20)]
    assert [result.get(blocking=True, timeout=30) for result in results] == list(range(1, 21))
    assert locked().get(blocking=True, timeout=30) == 7
    assert add.schedule((1, 2), delay=1).get(blocking=True, timeout=30) == 3
    consumer.stop(graceful=True)
