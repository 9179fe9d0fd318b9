//! Strangers: clients that have not authenticated, although the server requires it, or whose TLS handshake has not ended.
//! Strangers have limits of their own: their number, the time to authenticate, and the bytes that they send or leave
//! unread. So a client that merely connects takes neither a place nor memory from authenticated clients.

use crate::limits::{LOGIN_GRACE, UNAUTHENTICATED_CLIENTS_DEFAULT_MAX, UNAUTHENTICATED_CLIENTS_PART};
use crate::net_ring::ConnectionId;
use crate::paced::Paced;
use crate::server::Server;
use crate::session::Session;
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Why a stranger was closed or refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dismissal {
    /// There were too many strangers.
    Number,
    /// It did not authenticate in time.
    Time,
    /// It sent too many bytes, or left too many unread.
    Bytes,
}

/// The strangers of one core, the oldest first.
#[derive(Debug, Default)]
pub struct Strangers {
    /// By the time at which they became strangers, then by the client's number.
    since: BTreeMap<(Instant, u64), ConnectionId>,
    /// The number of closed or refused strangers, by [`Dismissal`].
    dismissed: [u64; 3],
    /// The pace of the log lines about them.
    logged: [Paced; 3],
}

impl Strangers {
    /// Adds a client.
    pub fn add(&mut self, id: ConnectionId, session: &mut Session, now: Instant) {
        session.stranger_since = Some(now);
        self.since.insert((now, session.client), id);
    }

    /// Removes a client, because it has authenticated or is closed. Returns whether it was a stranger.
    pub fn remove(&mut self, session: &mut Session) -> bool {
        session.stranger_since.take().is_some_and(|since| self.since.remove(&(since, session.client)).is_some())
    }

    /// The oldest stranger, if it has been one for at least `time`.
    #[inline]
    pub fn oldest_after(&self, time: Duration, now: Instant) -> Option<ConnectionId> {
        let ((since, _), id) = self.since.first_key_value()?;
        (now.duration_since(*since) >= time).then_some(*id)
    }

    /// The stranger to close when there are too many and another one connects: the oldest, if it has had time for a login.
    pub fn oldest_to_go(&self, now: Instant) -> Option<ConnectionId> {
        self.oldest_after(LOGIN_GRACE, now)
    }

    /// Counts a closed or refused stranger, and logs the count at a bounded pace.
    pub fn note(&mut self, dismissal: Dismissal) {
        self.dismissed[dismissal as usize] += 1;
        if self.logged[dismissal as usize].is_due() {
            let total = self.dismissed[dismissal as usize];
            tracing::warn!(?dismissal, total, "clients that have not given the password are closed");
        }
    }

    /// The number of strangers that were closed or refused for this reason.
    pub fn dismissed(&self, dismissal: Dismissal) -> u64 {
        self.dismissed[dismissal as usize]
    }
}

impl Server {
    /// Counts one more stranger, unless there are as many as allowed. Returns whether it was counted.
    pub fn admit_stranger(&self) -> bool {
        // Relaxed, both: they count, and order nothing.
        let is_admitted = self.strangers.fetch_add(1, Ordering::Relaxed) < self.strangers_max();
        if !is_admitted {
            self.strangers.fetch_sub(1, Ordering::Relaxed);
        }
        is_admitted
    }

    /// Counts one more stranger, whatever their number is.
    pub fn count_stranger(&self) {
        // Relaxed: as above.
        self.strangers.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts one stranger less: it has authenticated, or is closed.
    pub fn dismiss_stranger(&self) {
        // Relaxed: as above.
        self.strangers.fetch_sub(1, Ordering::Relaxed);
    }

    /// The number of strangers.
    pub fn stranger_count(&self) -> u64 {
        // Relaxed: as above.
        self.strangers.load(Ordering::Relaxed)
    }

    /// The most strangers allowed, `--unauthenticated-clients`.
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
    fn the_oldest_stranger_is_closed_first_and_no_client_that_has_authenticated() {
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
        // After RESET the client is a stranger again.
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
