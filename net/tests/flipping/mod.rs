//! A directory made, looked at, and started, in this process.

use fastrand::Rng;
use keytide_engine::clock;
use keytide_engine::filter::Filter;
use keytide_engine::group::{GroupOptions, Start as GroupStart};
use keytide_engine::history::{History, Request};
use keytide_engine::log::{Fsync, LogOptions};
use keytide_engine::position::Position;
use keytide_engine::shard::SnapshotProgress;
use keytide_engine::slot::shard_of;
use keytide_engine::snapshot::{SnapshotFile, snapshot_path};
use keytide_engine::store::check::{CheckError, Problem, check};
use keytide_engine::store::directory::{Directory, DirectoryError, DirectoryOptions};
use keytide_engine::store::{self, Store, StoreOptions};
use keytide_net::groups::Groups;
use keytide_net::groups::store::{self as group_store, GroupStoreOptions};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const RING_BYTES: u64 = 64 << 10;
const SEGMENT_BYTES: u64 = 64 << 10;

/// How many keys there are, and how many writes before and after the snapshots for each shard.
const KEYS: usize = 30;
const WRITES: usize = 130;

const PATTERNS: [(&[u8], &[u8]); 4] = [(b"*", b"all"), (b"k1*", b"some"), (b"k2*", b"others"), (b"*", b"more")];

/// What has ended a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    InOrder,
    Killed,
    PowerLoss,
}

/// What a directory has.
#[derive(Default)]
pub struct Want {
    pub events: BTreeMap<u64, String>,
    pub keys: BTreeMap<Vec<u8>, Vec<u8>>,
    pub groups: Vec<String>,
}

/// A directory as a run has left it.
pub struct Base {
    pub dir: PathBuf,
    pub shards: u16,
    pub end: End,
    /// During which boot of the system it is looked at.
    pub boot: &'static str,
    pub want: Want,
}

/// What a start has found.
pub struct Found {
    pub events: BTreeMap<u64, String>,
    pub keys: BTreeMap<Vec<u8>, Vec<u8>>,
    pub groups: Vec<String>,
    /// From where to where events are missing, as readers are told.
    pub gaps: Vec<(u64, u64)>,
    /// From here on reading is an error; beyond everything where it is none.
    pub unread_from: u64,
    /// The position at which the run goes on.
    pub next: u64,
}

/// What a check says.
#[derive(Debug, Default)]
pub struct Look {
    pub is_sound: bool,
    pub told: Vec<String>,
    pub is_beyond_repair: bool,
}

fn directory_options(boot: &str) -> DirectoryOptions {
    DirectoryOptions { boot_id: boot.to_owned(), ..DirectoryOptions::default() }
}

fn open(dir: &Path, shards: u16, boot: &str) -> Result<(Store, Vec<Groups>), String> {
    let directory = directory_options(boot);
    // As a server does: before anything is begun.
    if dir.join("groups").exists() {
        let directory = Directory::open_existing(dir, false, directory.clone()).map_err(|error| error.to_string())?;
        group_store::check(dir, directory.trust()).map_err(|error| error.to_string())?;
    }
    let options = StoreOptions {
        path: dir.to_owned(),
        directory,
        shards,
        log: LogOptions {
            fsync: Fsync::Os,
            segment_bytes: SEGMENT_BYTES,
            turn_bytes: RING_BYTES / 2,
            retain_bytes: u64::MAX,
            retain_ms: None,
        },
        ring_bytes: RING_BYTES,
        absent_streams: 100,
    };
    let store = store::open(&options, &|_, _| {}).map_err(|error| error.to_string())?;
    let history_id = store.directory.history_id();
    let groups = group_store::open(&GroupStoreOptions {
        dir,
        fsync: Fsync::Os,
        history_id: &history_id,
        next: store.sequencer.next(),
        cores: shards,
        trust: store.directory.trust(),
    });
    Ok((store, groups.map_err(|error| error.to_string())?))
}

/// Writes to random keys, now and then to two of a shard as one command.
fn write(store: &mut Store, writes: usize, rng: &mut Rng, keys: &mut BTreeMap<Vec<u8>, Vec<u8>>) {
    let shards = store.shards.len() as u16;
    for _ in 0..writes {
        let key = format!("k{}", rng.usize(..KEYS)).into_bytes();
        let shard = &mut store.shards[shard_of(&key, shards).0 as usize].0;
        shard.set_now_ms(clock::unix_millis());
        shard.check_log().expect("there is space");
        shard.begin_command();
        for _ in 0..rng.usize(1..3) {
            let length = rng.usize(10..600);
            let value: Vec<u8> = std::iter::repeat_with(|| rng.alphanumeric() as u8).take(length).collect();
            shard.make_room();
            shard.set(&key, &value).expect("it fits");
            keys.insert(key.clone(), value);
        }
        assert!(shard.commit());
    }
}

fn snapshot(store: &mut Store) {
    let shards = store.shards.len() as u16;
    for shard in &mut store.shards {
        let directory = store.directory.shard_directory(store.directory.current_generation().number, shard.0.id());
        let mut file = SnapshotFile::create(&snapshot_path(&directory, shard.0.history_end())).expect("a file");
        let mut rows = Vec::new();
        shard.0.begin_snapshot(shards, &mut rows).expect("none is running");
        while shard.0.snapshot_slice(&mut rows, 1 << 20) != SnapshotProgress::Done {}
        shard.0.finish_snapshot(&mut rows).expect("it is running");
        file.write(&rows).expect("there is space");
        file.finish().expect("there is space");
    }
}

fn history(store: &Store) -> History {
    History::new(store.sequencer.clone(), &store.histories).with_older(&store.older)
}

/// Has groups read and acknowledge.
fn work(store: &Store, groups: &mut [Groups], rng: &mut Rng) {
    let mut history = history(store);
    for (key, name) in PATTERNS {
        let core = keytide_net::groups::core_of(key, name, groups.len() as u16).0 as usize;
        let table = &mut groups[core].table;
        // Some are there from an earlier turn.
        let _ = table.create(key, name, GroupStart::At(Position(0)), GroupOptions::default(), &history);
        let (group, mut given) = (table.get_mut(key, name).expect("it was created"), Vec::new());
        let sink = |row: keytide_engine::group::Row<'_>| {
            if let keytide_engine::group::Row::Event(record) = row {
                given.push(record.position());
            }
            1
        };
        group.read(b"c", rng.usize(1..20), u64::MAX, 1_000, &mut history, sink).expect("it can be read");
        group.ack(given.into_iter().filter(|_| rng.bool()));
        // A cursor that passes over events is noted now and then only.
        groups[core].table.note_cursors();
        assert_eq!(groups[core].write(), None);
    }
}

fn dump(groups: &[Groups]) -> Vec<String> {
    let all = groups.iter().flat_map(|groups| groups.table.iter());
    let mut dump: Vec<String> = all
        .map(|(key, name, group)| {
            let (info, rows) = (group.info(), group.pending(1_000).map(|row| row.position.0).collect::<Vec<_>>());
            format!("{} {} {} {:?} {rows:?}", key.escape_ascii(), name.escape_ascii(), info.cursor, info.counts)
        })
        .collect();
    dump.sort();
    dump
}

impl Base {
    /// A directory with everything in it; `before` is how many shards it had first.
    pub fn make(root: &Path, (shards, before): (u16, Option<u16>), end: End, rng: &mut Rng) -> Base {
        let dir = root.join(format!("{shards}-{before:?}-{end:?}"));
        let running = root.join("running");
        let _ = std::fs::remove_dir_all(&running);
        let mut want = Want::default();
        if let Some(before) = before {
            let (mut store, mut groups) = open(&running, before, "this boot").expect("a new directory");
            write(&mut store, WRITES * before as usize, rng, &mut want.keys);
            work(&store, &mut groups, rng);
            close(store, groups);
        }
        let (mut store, mut groups) = open(&running, shards, "this boot").expect("it is sound");
        write(&mut store, WRITES * shards as usize, rng, &mut want.keys);
        work(&store, &mut groups, rng);
        snapshot(&mut store);
        write(&mut store, WRITES * shards as usize, rng, &mut want.keys);
        work(&store, &mut groups, rng);
        want.events = read(&store, 1).0;
        want.groups = dump(&groups);
        match end {
            End::InOrder => {
                close(store, groups);
                copy(&running, &dir);
            }
            End::Killed | End::PowerLoss => {
                copy(&running, &dir);
                close(store, groups);
            }
        }
        let boot = if end == End::PowerLoss { "another boot" } else { "this boot" };
        Base { dir, shards, end, boot, want }
    }
}

fn close(mut store: Store, mut groups: Vec<Groups>) {
    groups.iter_mut().for_each(Groups::close);
    store.shards.clear();
    store.directory.close_clean(store.sequencer.next()).expect("it can be written");
}

/// All events from a position on, the gaps, and from where on there is an error.
fn read(store: &Store, from: u64) -> (BTreeMap<u64, String>, Vec<(u64, u64)>, u64) {
    let mut history = history(store);
    let (mut events, mut gaps, mut cursor) = (BTreeMap::new(), Vec::new(), Position(from));
    loop {
        let request = Request { cursor, count: 1000, bytes: u64::MAX, filter: &Filter::default() };
        let page = history.read(&request, |shard, record| {
            let (key, data) = (record.key().escape_ascii(), record.data_bytes().escape_ascii());
            let event =
                format!("{} {key} {data} revision {}", record.event_type().name().unwrap_or(""), record.revision());
            assert!(events.insert(record.position().0, event).is_none(), "twice, at last from shard {shard}");
            1
        });
        let Ok(page) = page else {
            let unread = events.last_key_value().map_or(cursor.0, |(last, _)| *last + 1);
            return (events, gaps, unread);
        };
        gaps.extend(page.gap.map(|gap| (cursor.0, gap.last.0)));
        cursor = page.next;
        if page.at_end {
            return (events, gaps, u64::MAX);
        }
    }
}

/// Starts on a directory, as the run before has left it, and goes on.
pub fn start(dir: &Path, base: &Base) -> Result<Found, String> {
    let (mut store, groups) = open(dir, base.shards, base.boot)?;
    let next = store.sequencer.next().0;
    let mut keys = BTreeMap::new();
    for shard in &mut store.shards {
        shard.0.set_now_ms(clock::unix_millis());
        for key in (0..KEYS).map(|key| format!("k{key}").into_bytes()) {
            let value = shard.0.get(&key).expect("a string").map(<[u8]>::to_vec);
            keys.extend(value.map(|value| (key, value)));
        }
    }
    let groups = dump(&groups);
    write(&mut store, 5, &mut Rng::with_seed(1), &mut BTreeMap::new());
    let first = base.want.events.first_key_value().map_or(1, |(first, _)| *first);
    let (events, gaps, unread_from) = read(&store, first);
    Ok(Found { events, keys, groups, gaps, unread_from, next })
}

/// Looks at a directory as `keytide check` does.
pub fn look(dir: &Path, boot: &str, repair: bool) -> Look {
    let mut look = Look { is_sound: true, ..Look::default() };
    let mut tell = |problem: String, is_damage: bool| {
        look.told.push(problem);
        look.is_sound &= !is_damage;
    };
    if repair {
        match Directory::repair_meta(dir, &directory_options(boot)) {
            Ok(done) => done.into_iter().for_each(|done| tell(done, false)),
            Err(error) => {
                tell(error.to_string(), true);
                look.is_beyond_repair = matches!(error, DirectoryError::MetaLost { .. } | DirectoryError::Meta { .. });
                return look;
            }
        }
    }
    let directory = match Directory::open_existing(dir, repair, directory_options(boot)) {
        Ok(directory) => directory,
        Err(error) => {
            tell(error.to_string(), true);
            return look;
        }
    };
    let trust = directory.trust();
    directory.meta_copy_error().into_iter().for_each(|problem| tell(problem.to_string(), false));
    match check(&directory, repair, |_| {}) {
        Ok(report) => {
            let problems = report.shards.iter().flat_map(|shard| &shard.problems);
            problems.for_each(|problem| tell(problem.to_string(), problem.is_damage));
            report.repaired.into_iter().for_each(|done| tell(done, false));
        }
        Err(error) => {
            tell(error.to_string(), true);
            look.is_beyond_repair = matches!(error, CheckError::NothingLeft { .. });
            return look;
        }
    }
    let problems = |look: Result<Vec<Problem>, _>| look.expect("files can be read");
    problems(group_store::find_problems(dir, trust))
        .iter()
        .for_each(|problem| tell(problem.to_string(), problem.is_damage));
    if repair {
        let done = group_store::repair(dir, &directory.history_id(), trust).expect("files can be written");
        done.into_iter().for_each(|done| tell(done, false));
    }
    look
}

/// Copies a directory, leaving holes where there are zeros.
pub fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a place for the test's files");
    for entry in std::fs::read_dir(from).expect("a directory") {
        let path = entry.expect("its entry").path();
        let target = to.join(path.file_name().expect("an entry has a name"));
        if path.is_dir() {
            copy(&path, &target);
        } else if std::fs::copy(&path, &target).is_err() {
            // A keeper has just removed or renamed it.
            assert!(!path.exists(), "{} cannot be copied", path.display());
        }
    }
}
