//! Strangers: clients that have not given the password yet, where one is asked. They have bounds of their own, so that
//! whoever only connects takes neither the places nor the memory of those who may: how many there are, how long they may
//! take, and how much they may send and leave unread.

use crate::limits::{LOGIN_GRACE, UNAUTHENTICATED_CLIENTS_DEFAULT_MAX, UNAUTHENTICATED_CLIENTS_PART};
use crate::net_ring::ConnectionId;
use crate::paced::Paced;
use crate::server::Server;
use crate::session::Session;
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Why a stranger was closed, or not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dismissal {
    /// There were too many.
    Number,
    /// It did not give the password in time.
    Time,
    /// It sent too much, or left too much unread.
    Bytes,
}

/// The strangers of one core, the oldest first.
#[derive(Debug, Default)]
pub struct Strangers {
    /// By when they became strangers, and by their numbers where that is the same.
    since: BTreeMap<(Instant, u64), ConnectionId>,
    dismissed: [u64; 3],
    told: [Paced; 3],
}

impl Strangers {
    /// Adds one.
    pub fn add(&mut self, id: ConnectionId, session: &mut Session, now: Instant) {
        session.stranger_since = Some(now);
        self.since.insert((now, session.client), id);
    }

    /// Takes one out, whatever it has become. Tells whether it was one.
    pub fn remove(&mut self, session: &mut Session) -> bool {
        session.stranger_since.take().is_some_and(|since| self.since.remove(&(since, session.client)).is_some())
    }

    /// The oldest one that has had so much time.
    #[inline]
    pub fn oldest_after(&self, time: Duration, now: Instant) -> Option<ConnectionId> {
        let ((since, _), id) = self.since.first_key_value()?;
        (now.duration_since(*since) >= time).then_some(*id)
    }

    /// The one that has to go where another one comes and there are too many: the oldest, if it has had the time that a
    /// login takes.
    pub fn oldest_to_go(&self, now: Instant) -> Option<ConnectionId> {
        self.oldest_after(LOGIN_GRACE, now)
    }

    /// Counts one that was closed or not let in, and logs it now and then.
    pub fn note(&mut self, dismissal: Dismissal) {
        self.dismissed[dismissal as usize] += 1;
        if self.told[dismissal as usize].is_due() {
            let total = self.dismissed[dismissal as usize];
            tracing::warn!(?dismissal, total, "clients that have not given the password are closed");
        }
    }

    /// How many were closed, or not let in, for this reason.
    pub fn dismissed(&self, dismissal: Dismissal) -> u64 {
        self.dismissed[dismissal as usize]
    }
}

impl Server {
    /// Counts a client in that has not given the password, unless there are as many as may be.
    pub fn admit_stranger(&self) -> bool {
        // Relaxed, both: they count, and order nothing.
        let is_admitted = self.strangers.fetch_add(1, Ordering::Relaxed) < self.strangers_max();
        if !is_admitted {
            self.strangers.fetch_sub(1, Ordering::Relaxed);
        }
        is_admitted
    }

    /// Counts one in whatever their number is.
    pub fn count_stranger(&self) {
        // Relaxed: as above.
        self.strangers.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts one out: it has given the password, or is gone.
    pub fn dismiss_stranger(&self) {
        // Relaxed: as above.
        self.strangers.fetch_sub(1, Ordering::Relaxed);
    }

    /// How many clients have not given the password.
    pub fn stranger_count(&self) -> u64 {
        // Relaxed: as above.
        self.strangers.load(Ordering::Relaxed)
    }

    /// How many there may be, `--unauthenticated-clients`.
    pub fn strangers_max(&self) -> u64 {
        let maxclients = self.maxclients();
        let part = (maxclients / UNAUTHENTICATED_CLIENTS_PART).clamp(1, UNAUTHENTICATED_CLIENTS_DEFAULT_MAX);
        self.config.unauthenticated_clients.unwrap_or(part).min(maxclients)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(client: u64) -> Session {
        Session::for_tests(client, false)
    }

    #[test]
    fn the_oldest_goes_first_and_none_that_is_no_stranger_any_more() {
        let (start, mut strangers) = (Instant::now(), Strangers::default());
        let mut sessions = [session(1), session(2), session(3)];
        for (n, session) in sessions.iter_mut().enumerate() {
            let id = ConnectionId::from_u64(n as u64);
            strangers.add(id, session, start + Duration::from_secs(n as u64));
        }
        let at = |seconds| start + Duration::from_secs(seconds);
        let oldest =
            |strangers: &Strangers, now| strangers.oldest_after(Duration::from_secs(10), now).map(|id| id.index());
        assert_eq!((oldest(&strangers, at(9)), oldest(&strangers, at(10))), (None, Some(0)));
        assert!(strangers.remove(&mut sessions[0]) && !strangers.remove(&mut sessions[0]));
        assert_eq!((oldest(&strangers, at(10)), oldest(&strangers, at(12))), (None, Some(1)));
        // Again one, after RESET.
        strangers.add(ConnectionId::from_u64(0), &mut sessions[0], at(12));
        assert!(strangers.remove(&mut sessions[1]) && strangers.remove(&mut sessions[2]));
        assert_eq!(oldest(&strangers, at(30)), Some(0));
        assert!(!strangers.remove(&mut session(9)));
    }

    #[test]
    fn each_dismissal_is_counted_by_its_reason() {
        let mut strangers = Strangers::default();
        strangers.note(Dismissal::Time);
        strangers.note(Dismissal::Time);
        strangers.note(Dismissal::Number);
        let count = |dismissal| strangers.dismissed(dismissal);
        assert_eq!([count(Dismissal::Number), count(Dismissal::Time), count(Dismissal::Bytes)], [1, 2, 0]);
    }
}
