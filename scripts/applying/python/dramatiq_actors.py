"""dramatiq: messages with results, delayed ones, and a rate limiter."""

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.rate_limits import ConcurrentRateLimiter
from dramatiq.rate_limits.backends import RedisBackend as LimitBackend
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend
from where import URL

broker = RedisBroker(url=URL)
broker.add_middleware(Results(backend=RedisBackend(url=URL)))
dramatiq.set_broker(broker)


@dramatiq.actor(store_results=True)
def add(a, b):
    return a + b


worker = dramatiq.Worker(broker, worker_timeout=100)
worker.start()
messages = [add.send(n, 1) for n in range(20)]
assert [message.get_result(block=True, timeout=30_000) for message in messages] == list(range(1, 21))
assert add.send_with_options(args=(2, 3), delay=300).get_result(block=True, timeout=30_000) == 5
limiter = ConcurrentRateLimiter(LimitBackend(url=URL), "limited", limit=1)
with limiter.acquire():
    with limiter.acquire(raise_on_failure=False) as acquired:
        assert not acquired
worker.stop()
