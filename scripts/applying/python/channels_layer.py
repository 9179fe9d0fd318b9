"""channels-redis: messages to channels and groups, by lists and by publish/subscribe."""

import asyncio

from channels_redis.core import RedisChannelLayer
from channels_redis.pubsub import RedisPubSubChannelLayer
from where import URL


async def talk(layer):
    name = await layer.new_channel()
    await layer.group_add("room", name)
    # It does not wait until the server has answered SUBSCRIBE.
    await asyncio.sleep(0.2)
    for n in range(10):
        await layer.group_send("room", {"type": "said", "n": n})
        await layer.send(name, {"type": "told", "n": n})
    got = [await asyncio.wait_for(layer.receive(name), 10) for _ in range(20)]
    assert [message["n"] for message in got if message["type"] == "said"] == list(range(10)), got
    assert [message["n"] for message in got if message["type"] == "told"] == list(range(10)), got
    await layer.group_discard("room", name)
    await layer.flush() if hasattr(layer, "flush") else None


async def main():
    await talk(RedisChannelLayer(hosts=[URL]))
    await talk(RedisPubSubChannelLayer(hosts=[URL]))


asyncio.run(main())
