"""Caches: aiocache and dogpile.cache, with their locks."""

import asyncio

from aiocache import RedisCache
from aiocache.lock import RedLock
from dogpile.cache import make_region
from where import DB, PORT


async def aio():
    cache = RedisCache(endpoint="127.0.0.1", port=PORT, db=DB, namespace="aio")
    await cache.multi_set([("a", "1"), ("b", "2")], ttl=10)
    assert await cache.multi_get(["a", "b"]) == ["1", "2"] and await cache.increment("n", 2) == 2
    async with RedLock(cache, "lock", lease=10):
        assert await cache.exists("lock-lock")
    await cache.clear(namespace="aio")
    await cache.close()


def dogpile():
    arguments = {"host": "127.0.0.1", "port": PORT, "db": DB, "redis_expiration_time": 60, "distributed_lock": True}
    region = make_region().configure("dogpile.cache.redis", arguments={**arguments, "thread_local_lock": False})
    calls = [0]

    @region.cache_on_arguments(expiration_time=30)
    def double(n):
        calls[0] += 1
        return 2 * n

    assert [double(4), double(4), calls[0]] == [8, 8, 1]
    double.invalidate(4)
    assert [double(4), calls[0]] == [8, 2]


asyncio.run(aio())
dogpile()
