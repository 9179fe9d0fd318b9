"""Locks: those of redis-py, python-redis-lock, pottery and redlock-py."""

import threading

import pottery
import redis
import redis_lock
import redlock
from where import DB, PORT

connection = redis.Redis(port=PORT, db=DB)
with connection.lock("own", timeout=10) as lock:
    assert not connection.lock("own", timeout=10).acquire(blocking=False)
    lock.extend(5)
assert connection.lock("own", timeout=10).acquire(blocking=False)

counter = [0]


def count():
    for _ in range(20):
        with redis_lock.Lock(connection, "counter", expire=10):
            seen = counter[0]
            counter[0] = seen + 1


threads = [threading.Thread(target=count) for _ in range(4)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
assert counter[0] == 80

with pottery.Redlock(key="pottery", masters={connection}, auto_release_time=10) as lock:
    assert lock.locked() > 0
    assert not pottery.Redlock(key="pottery", masters={connection}).acquire(blocking=False)
names = pottery.RedisDict({"a": 1}, redis=connection, key="dict")
assert dict(names) == {"a": 1}

manager = redlock.Redlock([{"host": "127.0.0.1", "port": PORT, "db": DB}], retry_count=1)
held = manager.lock("redlock", 10_000)
assert held and not manager.lock("redlock", 10_000)
manager.unlock(held)
assert manager.lock("redlock", 10_000)
