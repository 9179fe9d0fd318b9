"""django-redis: cache, locks, sessions and patterns of keys."""

import django
from django.conf import settings
from where import URL

BACKEND = {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": URL}
settings.configure(
    CACHES={"default": BACKEND},
    SESSION_ENGINE="django.contrib.sessions.backends.cache",
    INSTALLED_APPS=["django.contrib.sessions"],
)
django.setup()

from django.contrib.sessions.backends.cache import SessionStore  # noqa: E402 (needs the settings)
from django.core.cache import cache  # noqa: E402

cache.set_many({"a": 1, "b": {"c": [1, 2]}}, timeout=100)
assert cache.get_many(["a", "b", "none"]) == {"a": 1, "b": {"c": [1, 2]}}
assert cache.add("a", 2) is False and cache.incr("a") == 2 and 0 < cache.ttl("a") <= 100
with cache.lock("lock", timeout=10):
    assert cache.lock("lock", timeout=10).acquire(blocking=False) is False
assert sorted(cache.iter_keys("*")) == ["a", "b"]
assert cache.delete_pattern("*") == 2
session = SessionStore()
session["user"] = 7
session.save()
assert SessionStore(session.session_key)["user"] == 7
session.flush()
