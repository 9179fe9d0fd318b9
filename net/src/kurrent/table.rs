//! All methods of all services.

use super::{persistent, server, streams, streams_v2, users};
use crate::grpc::Method;
use std::collections::HashMap;
use std::sync::LazyLock;

/// The methods.
static TABLE: LazyLock<HashMap<&'static str, &'static Method>> =
    LazyLock::new(|| all().map(|method| (method.path, method)).collect());

/// Every method.
pub fn all() -> impl Iterator<Item = &'static Method> {
    let services = [streams::METHODS, streams_v2::METHODS, persistent::METHODS, users::METHODS, server::METHODS];
    services.into_iter().flatten().copied()
}

/// The method of this path.
pub fn find(path: &str) -> Option<&'static Method> {
    TABLE.get(path).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_is_found_by_its_path() {
        assert_eq!(TABLE.len(), all().count(), "two methods have one path");
        for method in all() {
            assert!(find(method.path).is_some_and(|found| found.path == method.path));
            assert_eq!(method.path.split('/').count(), 3, "{}", method.path);
        }
        assert!(find("/event_store.client.streams.Streams/Nothing").is_none());
    }
}
