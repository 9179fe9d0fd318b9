//! The `keytide` binary: arguments, logging, and the server.

use clap::Parser;
use keytide_net::config::{Command, Config, Flags};
use keytide_net::{check, start};
use std::io::Write;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let mut flags = Flags::parse();
    if let Some(Command::Check { dir, repair }) = flags.command.take() {
        return ExitCode::from(check::run(&dir, repair, &mut std::io::stdout().lock()));
    }
    let config = match flags.decide() {
        Ok(config) => config,
        Err(error) => return fail(&error),
    };
    start_logging(&config);
    let ready = |server: &keytide_net::server::Server| {
        // Whoever started us may have closed its end of the pipe, which is no reason not to serve.
        let _ =
            writeln!(std::io::stdout(), "keytide ready resp={} grpc=off shards={}", server.address, server.shards());
    };
    match start::serve(config, ready) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

fn fail(error: &dyn std::error::Error) -> ExitCode {
    eprintln!("keytide: {error}");
    ExitCode::FAILURE
}

fn start_logging(config: &Config) {
    let filter = tracing_subscriber::EnvFilter::try_new(&config.log_level)
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
}
