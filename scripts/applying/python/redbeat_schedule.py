"""celery-redbeat: a schedule that is kept by the server, and its lock."""

from datetime import timedelta

from celery import Celery
from celery.schedules import schedule
from redbeat import RedBeatScheduler, RedBeatSchedulerEntry
from where import URL

app = Celery("redbeat_schedule", broker=URL)
app.conf.redbeat_redis_url = URL
entry = RedBeatSchedulerEntry("every-second", "add", schedule(timedelta(seconds=1)), args=[1, 2], app=app)
entry.save()
assert RedBeatSchedulerEntry.from_key(entry.key, app=app).args == [1, 2]
scheduler = RedBeatScheduler(app=app)
assert "every-second" in scheduler.schedule or scheduler.schedule == {}
assert entry.due_at is not None
entry.delete()
