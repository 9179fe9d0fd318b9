//! Runs the checks of the fuzz targets on the committed inputs: what fuzzing has found once does not come back.

#[path = "../fuzz/src/lib.rs"]
mod fuzz;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The check of a target.
type Check = fn(&[u8]);

/// The targets. Each has a directory in `net/fuzz/corpus` and a file in `net/fuzz/fuzz_targets`.
const TARGETS: &[(&str, Check)] = &[
    ("globs", fuzz::globs::check),
    ("groups", fuzz::groups::check),
    ("regexes", fuzz::regexes::check),
    ("resp", fuzz::resp::check),
    ("segments", fuzz::segments::check),
    ("snapshots", fuzz::snapshots::check),
    ("web", fuzz::web::check),
];

/// The most bytes of all inputs together, since every clone of the repository has them.
const CORPUS_BYTES_MAX: u64 = 200 << 10;

fn package() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}

fn files(directory: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(package().join(directory)).unwrap_or_else(|error| panic!("{directory}: {error}"));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("it can be read").path()).collect();
    files.sort();
    files
}

fn names(files: &[PathBuf]) -> BTreeSet<String> {
    files.iter().filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned())).collect()
}

/// Runs the inputs of a target.
fn run(target: &str) {
    let (_, check) = TARGETS.iter().find(|(name, _)| *name == target).expect("it is a target");
    let inputs = files(&format!("corpus/{target}"));
    assert!(inputs.len() > 10, "{target}: {} inputs", inputs.len());
    for path in inputs {
        // Shown only when the check fails.
        println!("{}", path.display());
        check(&fs::read(&path).expect("it can be read"));
    }
    check(&[]);
}

#[test]
fn globs() {
    run("globs");
}

#[test]
fn groups() {
    run("groups");
}

#[test]
fn regexes() {
    run("regexes");
}

#[test]
fn resp() {
    run("resp");
}

#[test]
fn segments() {
    run("segments");
}

#[test]
fn snapshots() {
    run("snapshots");
}

#[test]
fn web() {
    run("web");
}

#[test]
fn every_target_has_inputs_and_all_of_them_are_small() {
    let targets: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names(&files("fuzz_targets")), targets);
    assert_eq!(names(&files("corpus")), targets);
    let inputs = TARGETS.iter().flat_map(|(target, _)| files(&format!("corpus/{target}")));
    let bytes: u64 = inputs.map(|path| fs::metadata(path).expect("it is there").len()).sum();
    assert!(bytes <= CORPUS_BYTES_MAX, "{bytes} bytes: minimise with cargo fuzz cmin");
}
