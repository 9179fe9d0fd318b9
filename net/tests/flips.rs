//! Random bits flipped in, and random ends cut off, every kind of file of a directory, of a server that stopped in order,
//! was killed, or lost the power, with 1, 2, 3 and 8 shards: what is damaged is never taken for whole, no position comes
//! twice, what is missing is told, and `check` says what a start does. In one process, for speed; KEYTIDE_FLIPS is how
//! many, KEYTIDE_TEST_SEED repeats a run. `scripts/flips` is the long form.
#![cfg(not(loom))]

mod flipping;

use fastrand::Rng;
use flipping::{Base, End, Found, Look, copy, look, start};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// How many in the short form.
const FLIPS: u64 = 500;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// A directory in memory where the system has one: nobody waits for the disk.
fn scratch() -> PathBuf {
    let memory = Path::new("/dev/shm");
    let root = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
    root.join(format!("keytide-flips-{}", std::process::id()))
}

/// All files that can be damaged, by kind.
fn kinds(dir: &Path) -> Vec<(String, Vec<PathBuf>)> {
    let mut kinds: Vec<(String, Vec<PathBuf>)> = Vec::new();
    let mut directories = vec![PathBuf::new()];
    while let Some(inner) = directories.pop() {
        let mut entries: Vec<_> =
            std::fs::read_dir(dir.join(&inner)).expect("a directory").map(Result::unwrap).collect();
        entries.sort_by_key(std::fs::DirEntry::file_name);
        for entry in entries {
            let path = inner.join(entry.file_name());
            if entry.path().is_dir() {
                directories.push(path);
                continue;
            }
            let name = path.extension().or(path.file_name()).unwrap_or_default().to_string_lossy().into_owned();
            match kinds.iter_mut().find(|(kind, _)| *kind == name) {
                _ if name == "lock" => {}
                Some((_, files)) => files.push(path),
                None => kinds.push((name, vec![path])),
            }
        }
    }
    kinds.sort();
    kinds
}

/// Damages a file, mostly where it is used; answers how.
fn damage(path: &Path, rng: &mut Rng) -> String {
    let mut bytes = std::fs::read(path).expect("it is there");
    let used = bytes.iter().rposition(|byte| *byte != 0).map_or(bytes.len(), |last| last + 1);
    let within = if rng.u8(..16) == 0 { bytes.len() } else { used };
    if within == 0 {
        return "an empty file".to_owned();
    }
    let at = rng.usize(..within);
    let how = match rng.u8(..10) {
        0 => {
            bytes.truncate(at);
            format!("cut to {at} bytes")
        }
        1 => {
            let end = bytes.len().min(at + rng.usize(1..5_000));
            bytes[at..end].fill(0);
            format!("zeros from byte {at} to {end}")
        }
        _ => {
            let bit = rng.u8(..8);
            bytes[at] ^= 1 << bit;
            format!("bit {bit} of byte {at}")
        }
    };
    std::fs::write(path, bytes).expect("it is ours");
    how
}

/// What a start that has succeeded must have: nothing that was not there, every position once, and what is missing told.
fn judge(context: &str, base: &Base, look: &Look, found: &Found) {
    let want = &base.want;
    for (position, event) in &found.events {
        let was = want.events.get(position);
        assert!(was.is_none_or(|was| was == event), "{context}: position {position} was {was:?}, and is {event}");
        assert!(was.is_some() || *position >= found.next, "{context}: an event at {position} that never was");
    }
    let last = want.events.last_key_value().map_or(0, |(last, _)| *last);
    assert!(found.next > last, "{context}: positions go on at {}, and {last} was seen", found.next);
    let missing: Vec<u64> = want.events.keys().filter(|at| !found.events.contains_key(at)).copied().collect();
    for at in &missing {
        let is_told = found.gaps.iter().any(|(from, last)| (*from..=*last).contains(at)) || found.unread_from <= *at;
        assert!(is_told, "{context}: nobody is told that {at} is missing; {:?}", found.gaps);
    }
    let is_told = !look.told.is_empty();
    assert!(missing.is_empty() || is_told, "{context}: {} events are missing, and check says nothing", missing.len());
    // A journal that is cut between two frames ends as one whose next frame was never written.
    let may_be_earlier = base.end != End::InOrder && context.contains("groups/") && context.contains("cut to");
    let is_right = found.groups == want.groups || is_told || may_be_earlier;
    assert!(is_right, "{context}: {:#?} was {:#?}", found.groups, want.groups);
    if missing.is_empty() {
        assert_eq!(found.keys, want.keys, "{context}: all events are there");
    }
}

#[test]
fn nothing_damaged_is_taken_for_whole_whatever_is_flipped_or_cut() {
    let flips = number("KEYTIDE_FLIPS").unwrap_or(FLIPS);
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64);
    let seed = number("KEYTIDE_TEST_SEED").unwrap_or_else(|| now() % 1_000_000_000);
    println!("KEYTIDE_TEST_SEED={seed} KEYTIDE_FLIPS={flips}");
    let mut rng = Rng::with_seed(seed);
    let root = scratch();
    let _ = std::fs::remove_dir_all(&root);
    let mut bases = Vec::new();
    for (shards, before) in [(1, None), (2, None), (3, None), (8, None), (3, Some(2))] {
        for end in [End::InOrder, End::Killed, End::PowerLoss] {
            let base = Base::make(&root, (shards, before), end, &mut rng);
            let look = look(&base.dir, base.boot, false);
            assert!(look.is_sound, "{shards} shards, {end:?}: {:#?}", look.told);
            bases.push((kinds(&base.dir), base));
        }
    }
    let work = root.join("work");
    let (mut refused, mut started, mut repaired) = (0, 0, 0);
    for flip in 0..flips {
        let (kinds, base) = &bases[rng.usize(..bases.len())];
        let (_, files) = &kinds[rng.usize(..kinds.len())];
        let file = &files[rng.usize(..files.len())];
        let _ = std::fs::remove_dir_all(&work);
        copy(&base.dir, &work);
        let damage_seed = rng.u64(..);
        let how = damage(&work.join(file), &mut Rng::with_seed(damage_seed));
        let context =
            format!("seed {seed}, flip {flip}: {} shards, {:?}, {}, {how}", base.shards, base.end, file.display());
        let before = look(&work, base.boot, false);
        match start(&work, base) {
            Err(error) => {
                refused += 1;
                assert!(!before.is_sound, "{context}: check says it is sound, and a start refuses: {error}");
            }
            Ok(found) => {
                started += 1;
                judge(&context, base, &before, &found);
            }
        }
        if before.is_sound {
            continue;
        }
        // On the directory as the damage has left it.
        let _ = std::fs::remove_dir_all(&work);
        copy(&base.dir, &work);
        damage(&work.join(file), &mut Rng::with_seed(damage_seed));
        let context = format!("{context}; repaired");
        let repair = look(&work, base.boot, true);
        if repair.is_beyond_repair {
            continue;
        }
        let after = look(&work, base.boot, false);
        assert!(after.is_sound, "{context}: {:#?} after {:#?}", after.told, repair.told);
        let found = start(&work, base).unwrap_or_else(|error| panic!("{context}: {error} after {:#?}", repair.told));
        judge(&context, base, &repair, &found);
        repaired += 1;
    }
    println!("{flips} flips: {started} starts, {refused} refused, {repaired} repaired");
    let _ = std::fs::remove_dir_all(&root);
}
