//! `keytide-bench`: a load generator for servers that speak the Redis protocol.
//!
//! | module | what is in it |
//! |---|---|
//! | [`cli`] | the command line |
//! | [`options`] | the options of each subcommand |
//! | [`load`] | commands against a server: its threads and their turns |
//! | [`read`] | consumers of a history |
//! | [`subscribe`] | subscribers and their cost |
//! | [`hits`] | the hit ratio as a cache |
//! | [`plot`] | plots of results |
//! | [`fill`] | the data written before a run |
//! | [`client`] | connections on a ring |
//! | [`keys`], [`commands`] | the requests |
//! | [`schedule`] | the open loop: when each command is due |
//! | [`scan`] | the replies |
//! | [`latency`], [`cpu`] | the measurements |
//! | [`report`], [`delivery`], [`progress`], [`text`] | the output |
//! | [`error`] | errors that end a run early |

mod cli;
mod client;
mod commands;
mod cpu;
mod delivery;
mod error;
mod fill;
mod hits;
mod keys;
mod latency;
mod load;
mod options;
mod plot;
mod progress;
mod read;
mod report;
mod scan;
mod schedule;
mod subscribe;
mod text;

use clap::Parser;
use cli::{Options, Task};
use error::BenchError;
use options::RunOptions;
use report::Report;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let done = match Options::parse().task {
        Task::Load(options) => load::run(&options).and_then(|report| show(&options.run, report)),
        Task::Read(options) => read::run(&options).and_then(|report| show(&options.run, Some(report))),
        Task::Subscribe(options) => subscribe::run(&options).and_then(|report| show(&options.run, Some(report))),
        Task::Hits(options) => hits::run(&options),
        Task::Plot(options) => plot::run(&options),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("keytide-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Prints the table and writes the JSON. If the JSON is written to the standard output, the table goes to the standard
/// error.
fn show(run: &RunOptions, report: Option<Report>) -> Result<(), BenchError> {
    let Some(report) = report else { return Ok(()) };
    match &run.json {
        Some(path) if path == Path::new("-") => eprint!("{}", report.table()),
        Some(_) | None => report::print(&report.table())?,
    }
    run.json.as_deref().map_or(Ok(()), |path| report.write_json(path))
}
