//! `keytide-bench`: a load generator for servers that speak the Redis protocol.
//!
//! | module | what is in it |
//! |---|---|
//! | [`options`] | the command line |
//! | [`load`] | commands against a server: its threads and their turns |
//! | [`read`] | consumers of a history |
//! | [`subscribe`] | subscribers, and what they cost |
//! | [`plot`] | pictures of results |
//! | [`fill`] | what is written before a run |
//! | [`client`] | connections on a ring |
//! | [`keys`], [`commands`] | what is sent |
//! | [`schedule`] | the open loop: when it is due |
//! | [`scan`] | what is answered |
//! | [`latency`], [`cpu`] | what is measured |
//! | [`report`], [`progress`] | what is shown |
//! | [`error`] | what ends a run early |

mod client;
mod commands;
mod cpu;
mod error;
mod fill;
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

use clap::Parser;
use error::BenchError;
use options::{Options, RunOptions, Task};
use report::Report;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let done = match Options::parse().task {
        Task::Load(options) => load::run(&options).and_then(|report| show(&options.run, report)),
        Task::Read(options) => read::run(&options).and_then(|report| show(&options.run, Some(report))),
        Task::Subscribe(options) => subscribe::run(&options).and_then(|report| show(&options.run, Some(report))),
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

/// Prints the table and writes the JSON. Where the JSON takes the standard output, the table goes to the other one.
fn show(run: &RunOptions, report: Option<Report>) -> Result<(), BenchError> {
    let Some(report) = report else { return Ok(()) };
    match &run.json {
        Some(path) if path == Path::new("-") => eprint!("{}", report.table()),
        Some(_) | None => report::print(&report.table())?,
    }
    run.json.as_deref().map_or(Ok(()), |path| report.write_json(path))
}
