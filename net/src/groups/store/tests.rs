//! The guarantees of groups on disk after an end at any moment. A copy of the directory stands for what a killed process
//! leaves.

use super::*;
use keytide_engine::group::{GroupError, GroupOptions, Nack, Row, Start};
use keytide_engine::history::History;
use keytide_engine::position::ShardId;
use keytide_engine::ring;
use keytide_engine::sequencer::Sequencer;
use keytide_engine::shard::Shard;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

const FIRST: u64 = 1_000;
const NAMES: [(&[u8], &[u8]); 3] = [(b"*", b"g"), (b"k*", b"g"), (b"k*", b"h")];

/// A directory of the test's own, removed with it.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
        let path = std::env::temp_dir().join(format!("keytide-groups-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Scratch(path)
    }

    fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Copies a directory: what a process that is killed now would leave.
fn copy(from: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}

fn options(dir: &Path, cores: u16) -> GroupStoreOptions<'_> {
    GroupStoreOptions {
        dir,
        fsync: Fsync::Os,
        history_id: "one",
        next: Position(1 << 50),
        cores,
        trust: Trust::Written,
    }
}

/// The events, which survive the restarts of these tests.
struct World {
    shards: Vec<Shard>,
    history: History,
    now_ms: u64,
}

impl World {
    fn new() -> World {
        let sequencer = Arc::new(Sequencer::new(Position(FIRST), 2));
        let (writers, rings): (Vec<_>, Vec<_>) = (0..2).map(|_| ring::create(1 << 20).unwrap()).unzip();
        let shard = |(id, writer)| Shard::new(ShardId(id), sequencer.clone(), Some(writer), 16);
        let shards = (0..).zip(writers).map(shard).collect();
        World { shards, history: History::new(sequencer.clone(), &rings), now_ms: 1_000 }
    }

    fn write(&mut self, shard: usize) {
        self.shards[shard].set(b"key", b"value").unwrap();
        self.shards[shard].commit();
    }

    fn last(&self) -> u64 {
        self.history.head().0
    }

    /// Reads from a group, wherever it is kept.
    fn read(&mut self, groups: &mut [Groups], (key, name): (&[u8], &[u8]), count: usize) -> Vec<u64> {
        let mut given = Vec::new();
        let table = &mut groups[core(groups, key, name)].table;
        let sink = |row: Row<'_>| {
            if let Row::Event(record) = row {
                given.push(record.position().0);
            }
            1
        };
        table.get_mut(key, name).unwrap().read(b"c", count, u64::MAX, self.now_ms, &mut self.history, sink).unwrap();
        given
    }
}

fn core(groups: &[Groups], key: &[u8], name: &[u8]) -> usize {
    usize::from(core_of(key, name, groups.len() as u16).0)
}

fn create(groups: &mut [Groups], (key, name): (&[u8], &[u8]), history: &History) -> Result<(), GroupError> {
    let options = GroupOptions { idle_ms: 50, ..GroupOptions::default() };
    let core = core(groups, key, name);
    groups[core].table.create(key, name, Start::At(Position(0)), options, history)
}

/// Ends the turn of each core.
fn write(groups: &mut [Groups]) {
    groups.iter_mut().for_each(|groups| assert_eq!(groups.write(), None));
}

/// The state of all groups of all cores, as text.
fn dump(groups: &[Groups], now_ms: u64) -> BTreeSet<String> {
    let all = groups.iter().flat_map(|groups| groups.table.iter());
    let dump = all.map(|(key, name, group)| {
        let info = group.info();
        let rows: Vec<_> = group.pending(now_ms).chain(group.parked(now_ms)).collect();
        let state = (info.cursor, info.counts, info.options, info.consumers);
        format!("{:?} {:?} {state:?} {rows:?}", key.escape_ascii().to_string(), name.escape_ascii().to_string())
    });
    dump.collect()
}

#[test]
fn after_a_kill_at_any_turn_groups_are_restored_on_any_number_of_cores() {
    let scratch = Scratch::new("kill");
    let (dir, left) = (scratch.join("dir"), scratch.join("left"));
    let mut world = World::new();
    let mut rng = fastrand::Rng::with_seed(11);
    for fsync in [Fsync::Os, Fsync::EverySecond, Fsync::Always] {
        let _ = fs::remove_dir_all(&dir);
        let mut groups = open(&GroupStoreOptions { fsync, ..options(&dir, 2) }).unwrap();
        NAMES.iter().for_each(|names| create(&mut groups, *names, &world.history).unwrap());
        write(&mut groups);
        let mut acked: Vec<BTreeSet<u64>> = vec![BTreeSet::new(); 3];
        for turn in 0..24 {
            world.now_ms += rng.u64(0..40);
            for _ in 0..rng.usize(0..4) {
                world.write(rng.usize(..2));
                let which = rng.usize(..3);
                let (key, name) = NAMES[which];
                let given = world.read(&mut groups, NAMES[which], rng.usize(1..4));
                let core = core(&groups, key, name);
                let group = groups[core].table.get_mut(key, name).unwrap();
                let some: Vec<Position> = given.iter().filter(|_| rng.bool()).copied().map(Position).collect();
                match rng.u8(..5) {
                    0 => drop(group.nack(Nack::Park, some)),
                    1 => drop(group.nack(Nack::Retry, some)),
                    2 => drop(group.replay(None)),
                    3 => drop(group.remove_consumer(b"c")),
                    _ => {
                        group.ack(some.iter().copied());
                        acked[which].extend(some.iter().map(|position| position.0));
                    }
                }
            }
            write(&mut groups);
            copy(&dir, &left);
            let mut again = open(&options(&left, rng.u16(1..5))).unwrap();
            assert_eq!(dump(&again, world.now_ms), dump(&groups, world.now_ms), "{fsync:?} {turn}");
            // The next read gets every event that was not acknowledged.
            world.now_ms += 50;
            for (names, acked) in NAMES.iter().zip(&acked) {
                let core = core(&again, names.0, names.1);
                again[core].table.get_mut(names.0, names.1).unwrap().replay(None);
                let given: BTreeSet<u64> = world.read(&mut again, *names, usize::MAX).into_iter().collect();
                assert!(given.is_disjoint(acked));
                assert!((FIRST..=world.last()).all(|position| given.contains(&position) || acked.contains(&position)));
            }
        }
        groups.iter_mut().for_each(Groups::close);
    }
}

#[test]
fn a_torn_frame_is_cut_off_and_its_journal_kept_aside() {
    let scratch = Scratch::new("torn");
    let (dir, left) = (scratch.join("dir"), scratch.join("left"));
    let mut world = World::new();
    let mut groups = open(&options(&dir, 1)).unwrap();
    create(&mut groups, NAMES[0], &world.history).unwrap();
    write(&mut groups);
    let before = dump(&groups, 0);
    let path = |dir: &Path| dir.join("groups/run-00000001/core-0.journal");
    let whole = fs::metadata(path(&dir)).unwrap().len();
    world.write(0);
    world.read(&mut groups, NAMES[0], 1);
    write(&mut groups);
    let end = fs::metadata(path(&dir)).unwrap().len();
    assert!(end > whole);
    for cut in whole..end {
        copy(&dir, &left);
        File::options().write(true).open(path(&left)).unwrap().set_len(cut).unwrap();
        assert_eq!(dump(&open(&options(&left, 1)).unwrap(), 0), before);
        assert_eq!(left.join("groups/run-00000001.damaged").exists(), cut > whole);
        // The new run can be continued.
        assert_eq!(dump(&open(&options(&left, 3)).unwrap(), 0), before);
    }
}

#[test]
fn an_interrupted_start_leaves_the_previous_run() {
    let scratch = Scratch::new("runs");
    let dir = scratch.join("dir");
    let world = World::new();
    let mut groups = open(&options(&dir, 2)).unwrap();
    create(&mut groups, NAMES[0], &world.history).unwrap();
    create(&mut groups, NAMES[1], &world.history).unwrap();
    write(&mut groups);
    let begun = dir.join("groups/run-00000002.new");
    fs::create_dir_all(&begun).unwrap();
    fs::write(begun.join("core-0.journal"), b"half of it").unwrap();
    fs::write(dir.join("groups/run-00000001/core-0.journal.new"), b"half of it").unwrap();
    let again = open(&options(&dir, 1)).unwrap();
    assert_eq!(dump(&again, 0), dump(&groups, 0));
    let left: Vec<_> = fs::read_dir(dir.join("groups")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["run-00000002"]);
}

#[test]
fn a_missing_or_damaged_journal_refuses_the_start() {
    let scratch = Scratch::new("missing");
    let dir = scratch.join("dir");
    drop(open(&options(&dir, 2)).unwrap());
    let path = dir.join("groups/run-00000001/core-1.journal");
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[1..]).unwrap();
    assert!(matches!(open(&options(&dir, 2)), Err(GroupStoreError::Header { source: HeaderError::Damaged, .. })));
    fs::remove_file(&path).unwrap();
    assert!(matches!(open(&options(&dir, 2)), Err(GroupStoreError::Missing { found: 1, cores: 2, .. })));
    fs::write(&path, &bytes).unwrap();
    assert!(open(&options(&dir, 2)).is_ok());
    let long = "x".repeat(41);
    assert!(matches!(
        open(&GroupStoreOptions { history_id: &long, ..options(&dir, 2) }),
        Err(GroupStoreError::Io { .. })
    ));
}

#[test]
fn with_another_history_groups_begin_anew_and_no_cursor_is_beyond_the_head() {
    let scratch = Scratch::new("history");
    let dir = scratch.join("dir");
    let mut world = World::new();
    (0..4).for_each(|_| world.write(0));
    let mut groups = open(&options(&dir, 1)).unwrap();
    create(&mut groups, NAMES[0], &world.history).unwrap();
    world.read(&mut groups, NAMES[0], 4);
    write(&mut groups);
    let next = Position(FIRST + 2);
    let held = open(&GroupStoreOptions { next, ..options(&dir, 1) }).unwrap();
    assert_eq!(held[0].table.get(b"*", b"g").unwrap().info().cursor, next);
    let anew = open(&GroupStoreOptions { history_id: "two", ..options(&dir, 1) }).unwrap();
    let info = anew[0].table.get(b"*", b"g").unwrap().info();
    assert_eq!((info.cursor, info.pending, info.counts.lost), (Position(1), 0, 4));
}

#[test]
fn a_failed_write_is_reported_and_nothing_is_written_after_it() {
    let scratch = Scratch::new("failed");
    let path = scratch.join("core-0.journal");
    fs::write(&path, b"").unwrap();
    let header = Header::new(0, 1, "one");
    let file = File::open(&path).unwrap();
    let helper = Helper::start().unwrap();
    let journal = GroupJournal::new(path.clone(), header, file, 0, Fsync::Always, helper);
    let mut table = GroupTable::default();
    table.start_journal();
    let mut groups = [Groups::new(table, journal)];
    assert_eq!((groups[0].refusal(), groups[0].write()), (None, None));
    create(&mut groups, NAMES[0], &World::new().history).unwrap();
    let refusal = "ERR consumer groups cannot be written: Bad file descriptor (os error 9); restart the server when \
                   the disk is well";
    assert_eq!(groups[0].write().as_deref(), Some(refusal));
    assert_eq!(groups[0].refusal().as_deref(), Some(refusal));
    groups[0].close();
    assert_eq!(fs::metadata(&path).unwrap().len(), 0);
}

#[test]
fn a_journal_that_has_grown_is_rewritten_without_a_loss() {
    for (fsync, times) in [(Fsync::Os, 2), (Fsync::EverySecond, 1), (Fsync::Always, 1)] {
        let scratch = Scratch::new(&format!("anew-{fsync:?}"));
        let (dir, left) = (scratch.join("dir"), scratch.join("left"));
        let mut world = World::new();
        let mut groups = open(&GroupStoreOptions { fsync, ..options(&dir, 1) }).unwrap();
        create(&mut groups, NAMES[0], &world.history).unwrap();
        (0..8_000).for_each(|_| world.write(0));
        let path = dir.join("groups/run-00000001/core-0.journal");
        let (mut longest, mut shrunk, end) = (0, 0, Instant::now() + Duration::from_secs(60));
        while shrunk < times {
            assert!(Instant::now() < end, "it is never written anew");
            let given = world.read(&mut groups, NAMES[0], usize::MAX);
            let group = groups[0].table.get_mut(b"*", b"g").unwrap();
            group.nack(Nack::Retry, given.iter().copied().map(Position));
            write(&mut groups);
            let bytes = fs::metadata(&path).unwrap().len();
            let is_anew = bytes < longest;
            longest = if is_anew { 0 } else { bytes };
            shrunk += u32::from(is_anew);
            if is_anew {
                copy(&dir, &left);
                assert_eq!(dump(&open(&options(&left, 1)).unwrap(), 0), dump(&groups, 0));
            }
        }
        assert!(longest < 4 << 20);
        assert!(!path.with_extension("journal.new").exists());
    }
}

/// A directory with three groups of one core: the path of the journal, its length after each turn, and the groups' state.
fn three(scratch: &Scratch, ends: bool) -> (PathBuf, Vec<u64>, BTreeSet<String>) {
    let dir = scratch.join("dir");
    let mut world = World::new();
    (0..6).for_each(|_| world.write(0));
    // The journal of the second run begins with the first two groups.
    let mut groups = open(&options(&dir, 1)).unwrap();
    NAMES[..2].iter().for_each(|names| create(&mut groups, *names, &world.history).unwrap());
    write(&mut groups);
    drop(groups);
    let mut groups = open(&options(&dir, 1)).unwrap();
    let path = dir.join("groups/run-00000002/core-0.journal");
    let mut lengths = vec![fs::metadata(&path).unwrap().len()];
    world.read(&mut groups, NAMES[0], 2);
    for step in 0..2 {
        if step == 1 {
            create(&mut groups, NAMES[2], &world.history).unwrap();
        }
        write(&mut groups);
        lengths.push(fs::metadata(&path).unwrap().len());
    }
    if ends {
        groups.iter_mut().for_each(Groups::close);
    }
    (path, lengths, dump(&groups, 0))
}

#[test]
fn an_invalid_frame_before_valid_ones_is_damage_and_a_repair_loses_at_most_one_group() {
    for ends in [true, false] {
        let trust = if ends { Trust::All } else { Trust::Written };
        let scratch = Scratch::new(&format!("damaged-{ends}"));
        let (path, lengths, whole) = three(&scratch, ends);
        let dir = scratch.join("dir");
        let options = GroupStoreOptions { trust, ..options(&dir, 1) };
        let bytes = fs::read(&path).unwrap();
        assert!(find_problems(&dir, trust).unwrap().is_empty() && has_ended(&dir) == ends);
        for at in (0..lengths[1] as usize).step_by(3) {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x10;
            fs::write(&path, &damaged).unwrap();
            let problems = find_problems(&dir, trust).unwrap();
            assert!(problems.len() == 1 && problems[0].is_damage, "byte {at}: {problems:?}");
            let refused = check(&dir, trust).expect_err("damage").to_string();
            assert!(refused.contains("core-0.journal") && refused.contains("keytide check"), "{refused}");
            assert!(open(&options).is_err(), "byte {at}");
            let told = repair(&dir, "one", trust).unwrap();
            assert!(told.iter().any(|line| line.contains("groups are kept")), "{told:?}");
            assert!(find_problems(&dir, Trust::All).unwrap().is_empty() && has_ended(&dir));
            let again = open(&options).unwrap();
            let kept = dump(&again, 0);
            // Damage hits one of the two initial groups, or their later changes.
            assert!(kept.len() >= whole.len() - 1, "byte {at}: {kept:#?}");
            assert!(again[0].table.get(NAMES[2].0, NAMES[2].1).is_ok(), "byte {at}: created behind the damage");
            drop(again);
            fs::remove_dir_all(dir.join("groups")).unwrap();
            fs::create_dir_all(path.parent().unwrap()).unwrap();
        }
        // A journal that ends too early.
        for at in 0..bytes.len() {
            fs::write(&path, &bytes[..at]).unwrap();
            let is_refused = check(&dir, trust).is_err();
            let is_begun = at >= lengths[0] as usize;
            assert_eq!(is_refused, ends || !is_begun, "cut to {at} bytes");
            assert_eq!(find_problems(&dir, trust).unwrap().iter().any(|problem| problem.is_damage), is_refused);
        }
    }
}

#[test]
fn after_a_power_loss_unsynced_frames_may_be_missing() {
    let scratch = Scratch::new("power");
    let (path, lengths, _) = three(&scratch, false);
    let dir = scratch.join("dir");
    let mut bytes = fs::read(&path).unwrap();
    bytes[lengths[0] as usize + 9] ^= 1;
    fs::write(&path, &bytes).unwrap();
    assert!(check(&dir, Trust::Written).is_err() && check(&dir, Trust::Synced).is_ok());
    let problems = find_problems(&dir, Trust::Synced).unwrap();
    assert!(problems.len() == 1 && !problems[0].is_damage, "{problems:?}");
    assert_eq!(open(&GroupStoreOptions { trust: Trust::Synced, ..options(&dir, 1) }).unwrap()[0].table.len(), 2);
    bytes[70] ^= 1;
    // The initial frames were synced, so they must be there.
    let _ = fs::remove_dir_all(dir.join("groups/run-00000003"));
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, &bytes).unwrap();
    assert!(check(&dir, Trust::Synced).is_err());
}
