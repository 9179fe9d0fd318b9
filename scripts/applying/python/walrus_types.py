"""walrus: its types, a stream with a consumer group, a rate limit, a lock, a graph."""

import walrus
from where import DB, PORT

database = walrus.Database(port=PORT, db=DB)
stream = database.Stream("stream")
stream.add({"a": 1})
stream.add({"a": 2})
assert len(stream) == 2 and len(stream.read()) == 2
group = database.consumer_group("group", ["stream"])
group.create()
group.set_id("0")
assert [len(messages) for _, messages in group.read()] == [2]
scores = database.ZSet("scores")
scores.add({"a": 1, "b": 2})
assert list(scores) == [(b"a", 1.0), (b"b", 2.0)]
limit = database.rate_limit("limit", limit=3, per=60)
assert [limit.limit("user") for _ in range(5)] == [False, False, False, True, True]
with database.lock("lock", ttl=1000):
    assert not database.lock("lock", ttl=1000).acquire(block=False)
graph = database.graph("graph")
graph.store("anna", "likes", "ben")
assert len(list(graph.query("anna", "likes"))) == 1
cache = database.cache()
assert cache.set("key", {"n": 1}, 10) and cache.get("key") == {"n": 1}
