//! The command line: the subcommands with their options.

use crate::hits::HitsOptions;
use crate::options::{LoadOptions, PlotOptions, ReadOptions};
use crate::subscribe::options::SubscribeOptions;
use clap::{Parser, Subcommand};

/// Measures servers that speak the Redis protocol.
#[derive(Debug, Parser)]
#[command(name = "keytide-bench", version, max_term_width = 110)]
pub struct Options {
    /// The subcommand.
    #[command(subcommand)]
    pub task: Task,
}

/// The subcommand.
#[derive(Debug, Subcommand)]
pub enum Task {
    /// Sends commands and measures the replies: one run against one server
    Load(LoadOptions),
    /// Reads a history as its consumers do: one run against one server
    Read(ReadOptions),
    /// Subscribes, and counts and times the pushes: one run against one server
    Subscribe(SubscribeOptions),
    /// Reads the keys of a trace and sets those that are not there: the hit ratio of one server as a cache
    Hits(HitsOptions),
    /// Plots results
    Plot(PlotOptions),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::SlotRange;
    use clap::CommandFactory;

    fn load(arguments: &str) -> Result<LoadOptions, String> {
        let words = ["keytide-bench", "load"].into_iter().chain(arguments.split_ascii_whitespace());
        match Options::try_parse_from(words).map_err(|error| error.to_string())?.task {
            Task::Load(options) => options.check().map(|()| options).map_err(|error| error.to_string()),
            Task::Read(_) | Task::Subscribe(_) | Task::Hits(_) | Task::Plot(_) => unreachable!("it says load"),
        }
    }

    #[test]
    fn the_command_line_is_consistent() {
        Options::command().debug_assert();
        let defaults = load("").unwrap();
        assert_eq!((defaults.connections, defaults.pipeline, defaults.keys), (50, 1, 100_000));
        assert_eq!(load("--slots 0-8191").unwrap().slots, Some(SlotRange { from: 0, to: 8191 }));
        assert_eq!(load("--cores 1,3").unwrap().run.cores, [1, 3]);
    }

    #[test]
    fn an_option_out_of_bounds_is_refused_by_name() {
        for (arguments, name) in [
            ("--keys 0", "--keys"),
            ("--threads 4 --connections 3", "--connections"),
            ("--rate 0", "--rate"),
            ("--set-share 1.5", "--set-share"),
            ("--slots 5-4", "--slots"),
            ("--slots 0-16384", "--slots"),
            ("--requests 5 --seconds 5", "--seconds"),
        ] {
            let error = load(arguments).unwrap_err();
            assert!(error.contains(name), "{arguments}: {error}");
        }
    }
}
