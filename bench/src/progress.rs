//! A progress line that overwrites itself, shown only on a terminal.

use crate::options::When;
use crate::text::grouped;
use std::io::{IsTerminal, Write, stderr};
use std::time::Duration;

/// The time between two updates.
pub const EVERY: Duration = Duration::from_millis(500);

/// The progress line, on the standard error.
#[derive(Debug)]
pub struct Progress {
    is_shown: bool,
    is_written: bool,
}

impl Progress {
    /// Shown according to `when`.
    pub fn new(when: When) -> Progress {
        let is_shown = match when {
            When::Auto => stderr().is_terminal(),
            When::Always => true,
            When::Never => false,
        };
        Progress { is_shown, is_written: false }
    }

    /// Whether calling `show` has any effect.
    pub fn is_shown(&self) -> bool {
        self.is_shown
    }

    /// Replaces the line.
    pub fn show(&mut self, line: &str) {
        if self.is_shown {
            self.is_written = true;
            // A closed terminal is no reason to end the run.
            let _ = write!(stderr(), "\r{line}\x1b[K");
            let _ = stderr().flush();
        }
    }

    /// Clears the line.
    pub fn clear(&mut self) {
        if self.is_written {
            self.is_written = false;
            // As above.
            let _ = write!(stderr(), "\r\x1b[K");
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}

/// A line: the share done, the rate since the last line, and the 99th percentile so far.
pub fn line(what: &str, done: Option<f64>, seconds: f64, rate: f64, p99_us: f64) -> String {
    let done = done.map_or_else(String::new, |share| format!("{:3.0} %  ", (share * 100.0).clamp(0.0, 100.0)));
    format!("{what}  {done}{seconds:.1} s  {}/s  p99 {p99_us:.0} µs", grouped(rate.round()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_share_time_rate_and_percentile() {
        assert_eq!(line("set", Some(0.5), 2.5, 1_234_567.8, 99.6), "set   50 %  2.5 s  1,234,568/s  p99 100 µs");
        assert_eq!(line("set", None, 2.5, 0.0, 0.0), "set  2.5 s  0/s  p99 0 µs");
    }
}
