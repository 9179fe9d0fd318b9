//! The rights of streams whose metadata does not say, as all cores know them: see [`DefaultAcls`].

use keytide_engine::stream_acl::DefaultAcls;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

/// The default ACLs.
#[derive(Default)]
pub struct SharedDefaultAcls {
    /// Whether there are any, so that nobody takes the lock where there are none.
    is_set: AtomicBool,
    acls: RwLock<Arc<DefaultAcls>>,
    none: Arc<DefaultAcls>,
}

impl SharedDefaultAcls {
    /// What they are now.
    pub fn get(&self) -> Arc<DefaultAcls> {
        // Acquire, with the Release of `set`: who has heard of a change by any message of another core sees it here. What is
        // read under the lock is as new as that or newer.
        if !self.is_set.load(Ordering::Acquire) {
            return self.none.clone();
        }
        self.acls.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sets them, behind the commit of the event that says so and before its answer.
    pub fn set(&self, acls: DefaultAcls) {
        let is_set = !acls.is_empty();
        *self.acls.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(acls);
        // Release, with the Acquire of `get`: who sees that there are some finds them.
        self.is_set.store(is_set, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_what_was_set_last() {
        let shared = SharedDefaultAcls::default();
        assert!(shared.get().is_empty());
        let some = DefaultAcls::parse(br#"{"$userStreamAcl":{"$r":"anna"}}"#);
        shared.set(some.clone());
        assert_eq!(*shared.get(), some);
        shared.set(DefaultAcls::default());
        assert!(shared.get().is_empty());
    }
}
