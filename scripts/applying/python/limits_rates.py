"""limits: its three strategies, which are scripts."""

from limits import parse
from limits.storage import storage_from_string
from limits.strategies import FixedWindowRateLimiter, MovingWindowRateLimiter, SlidingWindowCounterRateLimiter
from where import URL

storage = storage_from_string(URL)
for number, strategy in enumerate((FixedWindowRateLimiter, MovingWindowRateLimiter, SlidingWindowCounterRateLimiter)):
    limiter, rate = strategy(storage), parse("3/minute")
    assert [limiter.hit(rate, f"user{number}") for _ in range(5)] == [True, True, True, False, False]
    assert limiter.get_window_stats(rate, f"user{number}").remaining == 0
    limiter.clear(rate, f"user{number}")
    assert limiter.test(rate, f"user{number}")
