//! The `keytide` binary: arguments, logging, and the server.

use keytide_net::config::{BinaryCommand, Config, ConfigError, Flags};
use keytide_net::{check, hash_password, import, start};
use std::io::Write;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: keytide_net::allocator::Allocator = keytide_net::allocator::Allocator;

/// The status of a process whose server could not start, or had to stop.
const FAILED: u8 = 1;

/// The status of a process whose command line, environment or file is not right: the one that clap ends with.
const MISUSED: u8 = 2;

/// The stack of each thread, in bytes: scripts may nest functions of Lua, of C and of this server. The system commits what is
/// used.
const STACK_BYTES: &str = "16777216";

fn main() -> ExitCode {
    // SAFETY: there is one thread so far, so nobody reads the environment meanwhile. The standard library takes the size of
    // stacks from there when the first thread starts; glommio, which starts those of the shards, leaves it at that.
    unsafe { std::env::set_var("RUST_MIN_STACK", STACK_BYTES) };
    let mut flags = match Flags::read(std::env::args_os()) {
        Ok(flags) => flags,
        Err(ConfigError::Usage(usage)) => usage.exit(),
        Err(error) => return fail(&error, MISUSED),
    };
    match flags.command.take() {
        Some(BinaryCommand::Check { dir, repair }) => {
            return ExitCode::from(check::run(&dir, repair, &mut std::io::stdout().lock()));
        }
        Some(BinaryCommand::HashPassword) => {
            return match hash_password::run(&mut std::io::stdout().lock()) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => fail(&error, FAILED),
            };
        }
        Some(BinaryCommand::Import(import_flags)) => {
            return ExitCode::from(import::run(&import_flags, &mut std::io::stdout().lock()));
        }
        None => {}
    }
    let config = match flags.decide() {
        Ok(config) => config,
        Err(error) => return fail(&error, MISUSED),
    };
    start_logging(&config);
    let ready = |server: &keytide_net::server::Server| {
        // Whoever started us may have closed its end of the pipe, which is no reason not to serve.
        let tls = server.tls_address().map_or(String::new(), |address| format!(" tls={address}"));
        let plain = server.plain_address().map_or("off".to_owned(), |address| address.to_string());
        let grpc = server.grpc_address().map_or("off".to_owned(), |address| address.to_string());
        let shards = server.shards();
        let _ = writeln!(std::io::stdout(), "keytide ready resp={plain}{tls} grpc={grpc} shards={shards}");
    };
    match start::serve(config, ready) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error, FAILED),
    }
}

fn fail(error: &dyn std::error::Error, status: u8) -> ExitCode {
    eprintln!("keytide: {error}");
    ExitCode::from(status)
}

fn start_logging(config: &Config) {
    // The configuration takes no other filters. What the library of HTTP/2 warns of is what clients do, as often as they
    // like.
    let of_library = if config.log_level.eq_ignore_ascii_case("off") { "" } else { ",h2=error" };
    let filter = tracing_subscriber::EnvFilter::new(format!("{}{of_library}", config.log_level));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
}
