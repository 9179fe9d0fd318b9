//! The flags of history on disk, and their values.

use super::values::{bytes_from, refused, span_ms};
use super::{ConfigError, Origin};
use crate::limits::{
    RETAIN_BYTES_DEFAULT, SEGMENT_BYTES_DEFAULT, SEGMENT_BYTES_MIN, SNAPSHOT_BYTES_DEFAULT, SNAPSHOT_BYTES_MIN,
    SNAPSHOTS_DEFAULT,
};
use clap::Parser;
use keytide_engine::limits::unpublished_bytes_max;
use keytide_engine::log::Fsync;
use keytide_engine::log::segment::HEADER_BYTES;
use serde::Deserialize;
use std::path::PathBuf;

/// The given flags of history on disk.
#[derive(Parser, Deserialize, Debug, Default)]
#[serde(rename_all = "kebab-case")]
#[command(next_help_heading = "History on disk")]
pub(super) struct DurabilityFlags {
    /// Directory for history and keys that outlive the process; created if missing [default: none, in memory]
    #[arg(long, env = "KEYTIDE_DIR", value_name = "PATH")]
    dir: Option<PathBuf>,
    /// When writes are synced: `os` survives the end of the process, `everysec` loses up to a second in a power loss,
    /// `always` nothing that was acknowledged [default: os]
    #[arg(long, env = "KEYTIDE_FSYNC", value_name = "WHEN")]
    fsync: Option<String>,
    /// Size of each segment file in bytes, at least 15/16 of --ring-bytes; suffixes k, m, g [default: 64m]
    #[arg(long, env = "KEYTIDE_SEGMENT_BYTES", value_name = "BYTES")]
    segment_bytes: Option<String>,
    /// Bytes of history to retain, of all shards together; the oldest is removed first [default: 16g]
    #[arg(long, env = "KEYTIDE_RETAIN_BYTES", value_name = "BYTES")]
    retain_bytes: Option<String>,
    /// How long to retain history, as 7d, 12h, 30m or 90s [default: forever]
    #[arg(long, env = "KEYTIDE_RETAIN_AGE", value_name = "SPAN")]
    retain_age: Option<String>,
    /// Bytes of a shard's history after which a snapshot of its keys is taken, so that a start replays less [default:
    /// 256m]
    #[arg(long, env = "KEYTIDE_SNAPSHOT_BYTES", value_name = "BYTES")]
    snapshot_bytes: Option<String>,
    /// Snapshots of each shard to retain [default: 2]
    #[arg(long, env = "KEYTIDE_SNAPSHOTS", value_name = "N")]
    snapshots: Option<usize>,
    /// The directory is a copy or was restored from a backup: start a history of its own, with positions beyond the
    /// original's
    #[arg(long, env = "KEYTIDE_RESTORED", num_args = 0, default_missing_value = "true")]
    restored: Option<bool>,
}

/// Where and how history is stored on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Durability {
    /// The directory.
    pub dir: PathBuf,
    /// When writes are synced.
    pub fsync: Fsync,
    /// The size of a segment file in bytes, a multiple of 4,096. Without its header it has room for the largest turn.
    pub segment_bytes: u64,
    /// The bytes of history to retain, of all shards together.
    pub retain_bytes: u64,
    /// How long to retain history, in milliseconds; `None` for forever.
    pub retain_ms: Option<u64>,
    /// The bytes of a shard's log from one snapshot to the next.
    pub snapshot_bytes: u64,
    /// The number of snapshots of each shard to retain, at least 1.
    pub snapshots: usize,
    /// Whether the directory is a copy, or was restored from a backup.
    pub restored: bool,
}

impl Durability {
    /// When writes are synced, as a value of `--fsync`.
    pub fn fsync_name(&self) -> &'static str {
        FSYNC.iter().find(|(_, fsync)| *fsync == self.fsync).map_or("", |(name, _)| name)
    }
}

const FSYNC: [(&str, Fsync); 3] = [("os", Fsync::Os), ("everysec", Fsync::EverySecond), ("always", Fsync::Always)];

impl DurabilityFlags {
    /// Adds the values of the file, for flags that are not given elsewhere.
    pub(super) fn fill_from(&mut self, file: DurabilityFlags) {
        macro_rules! fill {
            ($($field:ident)*) => { $(self.$field = self.$field.take().or(file.$field);)* };
        }
        fill!(dir fsync segment_bytes retain_bytes retain_age snapshot_bytes snapshots restored);
    }

    /// The settings, with rings of this many bytes.
    pub(super) fn decide(self, ring_bytes: u64) -> Result<Option<Durability>, ConfigError> {
        let Some(dir) = self.dir.as_ref() else {
            return match self.first_given() {
                Some(flag) => Err(ConfigError::NoDirectory { flag, origin: Origin::default() }),
                None => Ok(None),
            };
        };
        let shown = dir.display().to_string();
        if shown.is_empty() {
            return Err(refused("dir", "\"\"", "a directory is expected"));
        }
        if ring_bytes == 0 {
            return Err(refused("dir", &shown, "with --ring-bytes 0 nothing is recorded: leave one of the two out"));
        }
        let fsync = match self.fsync.as_deref() {
            None => Fsync::Os,
            Some(text) => match FSYNC.iter().find(|(name, _)| text.eq_ignore_ascii_case(name)) {
                Some((_, fsync)) => *fsync,
                None => return Err(refused("fsync", text, "os, everysec or always is expected")),
            },
        };
        let bytes = |flag, text: &Option<String>, bounds| bytes_from(flag, text.as_deref(), bounds);
        let segment_bytes = bytes("segment-bytes", &self.segment_bytes, (SEGMENT_BYTES_MIN, SEGMENT_BYTES_DEFAULT))?
            // One turn's records fit into the rest of a segment and the next one.
            .max(unpublished_bytes_max(ring_bytes) + HEADER_BYTES)
            .checked_next_multiple_of(4096)
            .ok_or_else(|| refused("segment-bytes", self.segment_bytes.as_deref().unwrap_or(""), "too many bytes"))?;
        if self.snapshots == Some(0) {
            return Err(refused("snapshots", "0", "at least 1"));
        }
        let snapshot_bounds = (SNAPSHOT_BYTES_MIN, SNAPSHOT_BYTES_DEFAULT);
        Ok(Some(Durability {
            fsync,
            segment_bytes,
            retain_bytes: bytes("retain-bytes", &self.retain_bytes, (SEGMENT_BYTES_MIN, RETAIN_BYTES_DEFAULT))?,
            retain_ms: self.retain_age.as_deref().map(|text| span_ms("retain-age", text)).transpose()?,
            snapshot_bytes: bytes("snapshot-bytes", &self.snapshot_bytes, snapshot_bounds)?,
            snapshots: self.snapshots.unwrap_or(SNAPSHOTS_DEFAULT),
            restored: self.restored == Some(true),
            dir: dir.clone(),
        }))
    }

    /// The first given flag besides `--dir`.
    fn first_given(&self) -> Option<&'static str> {
        let given = [
            ("fsync", self.fsync.is_some()),
            ("segment-bytes", self.segment_bytes.is_some()),
            ("retain-bytes", self.retain_bytes.is_some()),
            ("retain-age", self.retain_age.is_some()),
            ("snapshot-bytes", self.snapshot_bytes.is_some()),
            ("snapshots", self.snapshots.is_some()),
            ("restored", self.restored == Some(true)),
        ];
        given.iter().find(|(_, is_given)| *is_given).map(|(flag, _)| *flag)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::decide;
    use super::*;

    fn durability(words: &[&str]) -> Durability {
        decide(&[&["--dir", "/data"], words].concat())
            .expect("it is meant so")
            .durability
            .expect("there is a directory")
    }

    fn refusal(words: &[&str]) -> String {
        decide(&[&["--dir", "/data"], words].concat()).expect_err("it is refused")
    }

    #[test]
    fn without_a_directory_nothing_is_kept_and_no_flag_about_it_is_taken() {
        assert_eq!(decide(&[]).map(|config| config.durability), Ok(None));
        for flag in ["fsync", "segment-bytes", "retain-bytes", "retain-age", "snapshot-bytes", "snapshots"] {
            let text = decide(&[&format!("--{flag}"), "1"]).expect_err("it is refused");
            assert_eq!(text, format!("--{flag} is about history on disk: give --dir too, or leave it out"));
        }
        assert!(decide(&["--restored"]).expect_err("it is refused").starts_with("--restored is about"));
    }

    #[test]
    fn a_directory_alone_is_enough() {
        let expected = Durability {
            dir: PathBuf::from("/data"),
            fsync: Fsync::Os,
            segment_bytes: 64 << 20,
            retain_bytes: 16 << 30,
            retain_ms: None,
            snapshot_bytes: 256 << 20,
            snapshots: 2,
            restored: false,
        };
        assert_eq!(durability(&[]), expected);
    }

    #[test]
    fn every_flag_is_taken() {
        let found = durability(&["--fsync", "always", "--retain-bytes", "3g", "--retain-age", "7d", "--restored"]);
        assert_eq!((found.fsync, found.fsync_name(), found.retain_bytes), (Fsync::Always, "always", 3 << 30));
        assert_eq!((found.retain_ms, found.restored), (Some(604_800_000), true));
        let found = durability(&["--fsync", "EverySec", "--snapshot-bytes", "8m", "--snapshots", "3"]);
        assert_eq!((found.fsync, found.snapshot_bytes, found.snapshots), (Fsync::EverySecond, 8 << 20, 3));
    }

    #[test]
    fn a_segment_holds_the_largest_turn_besides_its_header() {
        assert_eq!(durability(&["--segment-bytes", "1m", "--ring-bytes", "1m"]).segment_bytes, 1 << 20);
        let segment_bytes = durability(&["--segment-bytes", "1m", "--ring-bytes", "256m"]).segment_bytes;
        assert!(segment_bytes - HEADER_BYTES >= 240 << 20 && segment_bytes.is_multiple_of(4096));
        assert_eq!(durability(&["--segment-bytes", "1048577", "--ring-bytes", "1m"]).segment_bytes, (1 << 20) + 4096);
        assert!(refusal(&["--segment-bytes", &u64::MAX.to_string()]).contains("too many"));
    }

    #[test]
    fn an_invalid_value_is_refused_with_the_valid_ones() {
        assert!(refusal(&["--fsync", "sometimes"]).contains("os, everysec or always"));
        assert!(refusal(&["--segment-bytes", "64k"]).contains("at least 1048576"));
        assert!(refusal(&["--retain-age", "7"]).contains("7d, 12h"));
        assert!(refusal(&["--snapshots", "0"]).contains("at least 1"));
        assert!(refusal(&["--ring-bytes", "0"]).contains("nothing is recorded"));
        assert!(decide(&["--dir", ""]).is_err());
    }

    #[test]
    fn a_file_says_it_too() {
        let path = std::env::temp_dir().join(format!("keytide-durability-{}.toml", std::process::id()));
        let text = "dir = \"/elsewhere\"\nfsync = \"everysec\"\nsnapshots = 4\nrestored = true\nmaxclients = 3\n";
        std::fs::write(&path, text).expect("a file in the temporary directory");
        let found = durability(&["--config", path.to_str().expect("a plain path"), "--snapshots", "5"]);
        std::fs::remove_file(&path).expect("the file was written");
        assert_eq!((found.dir.to_str(), found.fsync), (Some("/data"), Fsync::EverySecond));
        assert_eq!((found.snapshots, found.restored), (5, true));
    }
}
