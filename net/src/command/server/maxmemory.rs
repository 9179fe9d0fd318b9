//! The rows of CONFIG for the limit of memory. The texts are Redis's.

use super::output_limit::memory;
use crate::memory::ClientsLimit;
use crate::server::Server;
use keytide_engine::eviction::Policy;

/// A number of bytes with Redis's units, or 0.
pub(super) fn check_limit(_server: &Server, value: &[u8]) -> Result<(), String> {
    memory(value).map(|_| ()).ok_or_else(|| "argument must be a memory value".to_owned())
}

pub(super) fn apply_limit(server: &Server, value: &[u8]) {
    if let Some(bytes) = memory(value) {
        server.set_maxmemory(|pool| pool.set_limit(bytes));
    }
}

/// The name of a policy.
pub(super) fn check_policy(_server: &Server, value: &[u8]) -> Result<(), String> {
    let names = || Policy::NAMED.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
    Policy::from_name(value).map(|_| ()).ok_or_else(|| format!("argument(s) must be one of the following: {}", names()))
}

pub(super) fn apply_policy(server: &Server, value: &[u8]) {
    if let Some(policy) = Policy::from_name(value) {
        server.set_maxmemory(|pool| pool.set_policy(policy));
    }
}

/// A number of bytes, or a part of `maxmemory`.
fn clients(value: &[u8]) -> Option<ClientsLimit> {
    ClientsLimit::parse(std::str::from_utf8(value).ok()?, |text| memory(text.as_bytes()))
}

pub(super) fn check_clients(_server: &Server, value: &[u8]) -> Result<(), String> {
    clients(value).map(|_| ()).ok_or_else(|| "argument must be a memory or percent value".to_owned())
}

pub(super) fn apply_clients(server: &Server, value: &[u8]) {
    if let Some(limit) = clients(value) {
        server.set_clients_limit(limit);
    }
}
