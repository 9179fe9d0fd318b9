"""APScheduler: jobs kept by the server run at their time."""

import time
from datetime import datetime, timedelta

from apscheduler.schedulers.background import BackgroundScheduler
from where import DB, PORT

RAN = []


def run(n):
    RAN.append(n)


if __name__ == "__main__":
    import apscheduler_jobs

    scheduler = BackgroundScheduler()
    scheduler.add_jobstore("redis", port=PORT, db=DB)
    scheduler.start()
    for n in range(5):
        at = datetime.now() + timedelta(milliseconds=200 * n)
        scheduler.add_job(apscheduler_jobs.run, "date", run_date=at, args=[n], misfire_grace_time=60)
    scheduler.add_job(apscheduler_jobs.run, "date", run_date=datetime.now() + timedelta(hours=1), args=[9], id="later")
    for _ in range(300):
        if len(apscheduler_jobs.RAN) == 5:
            break
        time.sleep(0.1)
    assert sorted(apscheduler_jobs.RAN) == list(range(5)), apscheduler_jobs.RAN
    assert scheduler.get_job("later") and len(scheduler.get_jobs()) == 1
    scheduler.shutdown()
