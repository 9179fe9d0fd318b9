//! Makes Rust types of the messages in `proto/`, without a protoc of the system.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let files = [
        "proto/shared.proto",
        "proto/streams.proto",
        "proto/server.proto",
        "proto/streams_v2.proto",
        "proto/users.proto",
        "proto/persistent.proto",
    ];
    let descriptors = protox::compile(files, ["proto"])?;
    prost_build::Config::new().bytes(["."]).compile_fds(descriptors)?;
    println!("cargo::rerun-if-changed=proto");
    Ok(())
}
