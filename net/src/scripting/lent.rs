//! The caller of the run at hand. The function with which scripts call commands is made once for each interpreter, whereas a
//! caller borrows what a turn has and lasts for one run: so it is lent for that time. (A function made anew for each run,
//! which could borrow it, cost more than the command that it calls.)

use super::interpreter::Caller;
use std::cell::Cell;
use std::ptr::NonNull;

/// Where the caller is while a script runs.
#[derive(Default)]
pub(super) struct Lent(Cell<Option<NonNull<dyn Caller>>>);

impl Lent {
    /// Lends a caller for as long as `run` runs.
    pub fn during<R>(&self, caller: &mut dyn Caller, run: impl FnOnce() -> R) -> R {
        struct TakesBack<'a>(&'a Lent);
        impl Drop for TakesBack<'_> {
            fn drop(&mut self) {
                self.0.0.set(None);
            }
        }
        let caller = NonNull::from(caller);
        // SAFETY: only the lifetime changes. The pointer is used by `with` alone, and is taken back before the borrow of
        // `caller` ends, also if `run` panics.
        let caller = unsafe { std::mem::transmute::<NonNull<dyn Caller + '_>, NonNull<dyn Caller>>(caller) };
        let _takes_back = TakesBack(self);
        self.0.set(Some(caller));
        run()
    }

    /// Uses the caller; `None` if there is none, or it is in use already.
    pub fn with<R>(&self, used: impl FnOnce(&mut dyn Caller) -> R) -> Option<R> {
        let mut caller = self.0.take()?;
        // SAFETY: `during` has lent it and not yet taken it back, and has it borrowed mutably. It is taken out meanwhile, so
        // there is one reference to it at a time.
        let result = used(unsafe { caller.as_mut() });
        self.0.set(Some(caller));
        Some(result)
    }
}

#[cfg(test)]
mod tests {
    use super::super::interpreter::Called;
    use super::*;
    use crate::resp::{Args, Protocol};

    struct Counts(u32);

    impl Caller for Counts {
        fn call(&mut self, _: Args<'_>, _: Protocol, out: &mut Vec<u8>) -> Called {
            self.0 += 1;
            out.push(b'.');
            Called::Replied
        }
    }

    #[test]
    fn a_caller_is_there_while_it_is_lent_and_for_one_at_a_time() {
        let (lent, mut counts, mut out) = (Lent::default(), Counts(0), Vec::new());
        assert!(lent.with(|_| ()).is_none());
        let words: crate::resp::OwnedArgs = [b"get", b"key"].iter().collect();
        lent.during(&mut counts, || {
            for _ in 0..2 {
                lent.with(|caller| {
                    caller.call(words.as_args(), Protocol::Resp2, &mut out);
                    assert!(lent.with(|_| ()).is_none(), "it is in use");
                });
            }
        });
        assert!(lent.with(|_| ()).is_none());
        let panics =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| lent.during(&mut counts, || panic!("a run"))));
        assert!(panics.is_err() && lent.with(|_| ()).is_none());
        assert_eq!((counts.0, out.len()), (2, 2));
    }
}
