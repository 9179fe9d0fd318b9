//! Open files of the process: how many there may be, and how they are divided between clients and everything else, so that
//! however many clients come, the log finds one for its next segment.

use crate::limits::{
    BACKLOG_MAX, BACKLOG_MIN, DESCRIPTORS_FOR_LOG, DESCRIPTORS_FOR_SERVER, DESCRIPTORS_FOR_SHARD,
    DESCRIPTORS_SLACK_PART, SHARED_FILES_MAX,
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use thiserror::Error;

/// How the descriptors are divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Descriptors {
    /// How many the process may have.
    pub limit: u64,
    /// The most clients that find one, whatever `--maxclients` says.
    pub clients_max: u64,
    /// How many clients may be connected: `--maxclients`, or fewer.
    pub maxclients: u64,
    /// How many connections may wait to be accepted on each core: the system may accept all of them before one that is
    /// too many is closed.
    pub backlog: u64,
    /// How many memory files each core may keep for what many subscribers are sent.
    pub shared_files: usize,
}

/// There are fewer than the server needs by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "the limit of open files is {limit}, and {shards} shards need at least {needed}: raise it (ulimit -n, LimitNOFILE= of \
     the unit), or give fewer --shards"
)]
pub struct TooFew {
    limit: u64,
    shards: u16,
    needed: u64,
}

/// What asks for descriptors.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// How many shards there are.
    pub shards: u16,
    /// Whether they have logs.
    pub has_log: bool,
    /// How many clients may be connected.
    pub maxclients: u64,
}

impl Wanted {
    /// What is kept for everything but clients.
    fn reserve(&self) -> u64 {
        let each = DESCRIPTORS_FOR_SHARD + if self.has_log { DESCRIPTORS_FOR_LOG } else { 0 };
        DESCRIPTORS_FOR_SERVER + each * u64::from(self.shards)
    }
}

impl Descriptors {
    /// Divides so many. Clients come after what the server needs by itself, and leave a part for connections that are
    /// accepted and closed at once; what is then left goes to longer backlogs and to memory files.
    ///
    /// # Errors
    /// Where there are not enough for one client.
    pub fn divide(limit: u64, wanted: Wanted) -> Result<Descriptors, TooFew> {
        let shards = u64::from(wanted.shards);
        let left = limit.saturating_sub(wanted.reserve());
        let slack = (left / DESCRIPTORS_SLACK_PART).max(BACKLOG_MIN * shards);
        let clients_max = left.saturating_sub(slack);
        if clients_max == 0 {
            let needed = wanted.reserve() + BACKLOG_MIN * shards + 1;
            return Err(TooFew { limit, shards: wanted.shards, needed });
        }
        let maxclients = wanted.maxclients.min(clients_max);
        let rest = left - maxclients;
        let backlog = (rest / shards).clamp(BACKLOG_MIN, BACKLOG_MAX);
        let shared_files = (rest.saturating_sub(backlog * shards) / shards).min(SHARED_FILES_MAX as u64) as usize;
        Ok(Descriptors { limit, clients_max, maxclients, backlog, shared_files })
    }

    /// The same for what the process may have now, after its soft limit was raised to its hard limit.
    ///
    /// # Errors
    /// As [`Descriptors::divide`].
    pub fn of_this_process(wanted: Wanted) -> Result<Descriptors, TooFew> {
        Descriptors::divide(raise_limit(), wanted)
    }

    /// The limit of open files that as many clients need as were wanted.
    pub fn limit_for(wanted: Wanted) -> u64 {
        let shards = u64::from(wanted.shards);
        let slack = (wanted.maxclients / (DESCRIPTORS_SLACK_PART - 1) + 1).max(BACKLOG_MIN * shards);
        wanted.reserve() + wanted.maxclients + slack
    }
}

/// Raises the soft limit of open files to the hard limit; answers what it is then.
fn raise_limit() -> u64 {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum {
        // Where it is refused, the limit that there is counts.
        if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
            tracing::warn!(%error, ?current, ?maximum, "the limit of open files cannot be raised");
        }
    }
    getrlimit(Resource::Nofile).current.unwrap_or(u64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(shards: u16, maxclients: u64) -> Wanted {
        Wanted { shards, has_log: true, maxclients }
    }

    #[test]
    fn clients_get_what_the_server_does_not_need() {
        let found = Descriptors::divide(1024, wanted(2, 10_000)).expect("there are enough");
        assert_eq!((found.maxclients, found.maxclients), (found.clients_max, found.maxclients));
        let taken = found.maxclients + 2 * (found.backlog + found.shared_files as u64);
        assert!((600..800).contains(&found.maxclients) && taken + wanted(2, 0).reserve() <= 1024, "{found:?}");
        let plenty = Descriptors::divide(1 << 20, wanted(2, 10_000)).expect("there are enough");
        assert_eq!((plenty.maxclients, plenty.backlog, plenty.shared_files), (10_000, BACKLOG_MAX, SHARED_FILES_MAX));
        assert!(Descriptors::divide(200, wanted(64, 1)).unwrap_err().to_string().contains("ulimit -n"));
    }

    #[test]
    fn no_division_gives_away_more_than_there_are() {
        for shards in [1, 2, 3, 8, 64, 512] {
            for limit in (0..40_000).step_by(37) {
                let wanted = wanted(shards, 10_000);
                let Ok(found) = Descriptors::divide(limit, wanted) else { continue };
                let others = u64::from(shards) * (found.backlog + found.shared_files as u64);
                assert!(found.maxclients + others + wanted.reserve() <= limit, "{limit}: {found:?}");
                assert!(found.maxclients >= 1 && found.maxclients <= 10_000 && found.backlog >= BACKLOG_MIN);
            }
        }
    }

    #[test]
    fn what_is_said_to_be_needed_is_enough() {
        for shards in [1, 2, 8, 64] {
            for maxclients in [1, 7, 100, 10_000, 1_000_000] {
                let wanted = wanted(shards, maxclients);
                let found = Descriptors::divide(Descriptors::limit_for(wanted), wanted).expect("it is enough");
                assert_eq!(found.maxclients, maxclients);
            }
            let needed = Descriptors::divide(0, wanted(shards, 1)).unwrap_err().needed;
            assert!(Descriptors::divide(needed, wanted(shards, 1)).is_ok());
        }
    }
}
