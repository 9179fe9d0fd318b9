//! A shard with a log in a directory: written, ended in every way, and brought back.

use super::restore::{RestoreError, Restored, restore};
use super::storage::{RealStorage, Storage};
use super::*;
use crate::filter::Filter;
use crate::history::{History, Request, ShardHistory};
use crate::position::{Position, ShardId};
use crate::sequencer::Sequencer;
use crate::shard::random::{Commands, written};
use crate::shard::{LentShard, Shard};
use std::path::{Path, PathBuf};
use std::sync::Arc;

const RING_BYTES: u64 = 64 << 10;

/// A directory that is gone when the test ends.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
        let path = std::env::temp_dir().join(format!("keytide-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Scratch(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn identity(directory: &Path) -> LogIdentity {
    LogIdentity { directory: directory.to_owned(), generation: 1, shard: ShardId(0), shards: 1 }
}

fn options(fsync: Fsync) -> LogOptions {
    LogOptions { fsync, segment_bytes: 64 << 10, turn_bytes: RING_BYTES / 2, retain_bytes: u64::MAX, retain_ms: None }
}

fn found(directory: &Path) -> Result<Restored, RestoreError> {
    restore(identity(directory), &RealStorage, usize::MAX, |_| {})
}

fn start(restored: Restored, fsync: Fsync) -> (Box<Shard>, ShardHistory, Arc<Sequencer>) {
    let storage: Arc<dyn Storage> = Arc::new(RealStorage);
    let sequencer = Arc::new(Sequencer::resumed(Position(1), restored.last().next(), 1));
    let (LentShard(shard), history) = restored.start(&storage, options(fsync), &sequencer, RING_BYTES).unwrap();
    (shard, history, sequencer)
}

/// Every position and key that the history holds, from a position on.
fn events(history: &ShardHistory, sequencer: &Arc<Sequencer>, from: u64) -> Vec<(u64, Vec<u8>)> {
    let mut reader = History::new(sequencer.clone(), std::slice::from_ref(history));
    let (mut events, mut cursor) = (Vec::new(), Position(from));
    loop {
        let request = Request { cursor, count: 1000, bytes: u64::MAX, filter: &Filter::default() };
        let page = reader
            .read(&request, |_, record| {
                events.push((record.position().0, record.key().to_vec()));
                1
            })
            .unwrap();
        assert_eq!(page.gap, None);
        cursor = page.next;
        if page.at_end {
            return events;
        }
    }
}

#[test]
fn what_was_written_is_there_again_and_goes_on_over_many_starts_and_segments() {
    for (round, fsync) in [Fsync::Os, Fsync::EverySecond, Fsync::Always].into_iter().enumerate() {
        let scratch = Scratch::new(&format!("log-starts-{round}"));
        let mut commands = Commands::new(round as u64, 12);
        let (mut before, mut all) = (None, Vec::new());
        for _ in 0..6 {
            let restored = found(&scratch.0).unwrap();
            assert_eq!(restored.cut(), Default::default());
            let (mut shard, history, sequencer) = start(restored, fsync);
            if let Some(before) = before {
                assert_eq!(written(&shard), before);
            }
            assert_eq!(events(&history, &sequencer, 0), all);
            for _ in 0..300 {
                shard.begin_command();
                commands.run(&mut shard);
                if commands.rng.u8(..5) == 0 {
                    shard.check_log().unwrap();
                    shard.commit();
                }
            }
            shard.check_log().unwrap();
            shard.commit();
            all = events(&history, &sequencer, 0);
            let middle = all[all.len() / 2].0;
            let half: Vec<_> = all.iter().filter(|event| event.0 >= middle).cloned().collect();
            assert_eq!(events(&history, &sequencer, middle), half);
            before = Some(written(&shard));
        }
        let segments = std::fs::read_dir(&scratch.0).unwrap().count();
        assert!(segments > 4, "{segments} files: more than one segment");
    }
}
