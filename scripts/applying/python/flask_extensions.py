"""Flask: sessions, a cache and a rate limit."""

import redis
from flask import Flask, session
from flask_caching import Cache
from flask_limiter import Limiter
from flask_session import Session
from where import DB, PORT, URL

app = Flask(__name__)
app.config.update(SESSION_TYPE="redis", SESSION_REDIS=redis.Redis(port=PORT, db=DB))
Session(app)
cache = Cache(app, config={"CACHE_TYPE": "RedisCache", "CACHE_REDIS_URL": URL})
limiter = Limiter(lambda: "everybody", app=app, storage_uri=URL, strategy="moving-window")
COUNT = [0]


@app.route("/visits")
def visits():
    session["visits"] = session.get("visits", 0) + 1
    return str(session["visits"])


@app.route("/cached")
@cache.cached(timeout=60)
def cached():
    COUNT[0] += 1
    return str(COUNT[0])


@app.route("/limited")
@limiter.limit("2 per minute")
def limited():
    return "yes"


client = app.test_client()
assert [client.get("/visits").text for _ in range(3)] == ["1", "2", "3"]
assert [client.get("/cached").text for _ in range(3)] == ["1", "1", "1"]
assert [client.get("/limited").status_code for _ in range(4)] == [200, 200, 429, 429]
cache.clear()
assert client.get("/cached").text == "2"
