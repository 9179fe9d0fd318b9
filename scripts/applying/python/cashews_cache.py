"""cashews: a cache with tags, and its lock."""

import asyncio

from cashews import Cache
from where import URL


async def main():
    cache = Cache()
    cache.setup(URL)
    calls = [0]

    @cache(ttl="10m", key="square:{n}", tags=["squares"])
    async def square(n):
        calls[0] += 1
        return n * n

    assert [await square(3), await square(3), calls[0]] == [9, 9, 1]
    await cache.delete_tags("squares")
    assert [await square(3), calls[0]] == [9, 2]
    async with cache.lock("lock", expire=10):
        assert await cache.is_locked("lock")
    await cache.close()


asyncio.run(main())
