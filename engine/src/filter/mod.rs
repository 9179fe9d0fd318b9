//! Which events a read or a subscription wants.
//!
//! | module | what is in it |
//! |---|---|
//! | [`glob`] | Redis's glob patterns on bytes, in time that no pattern can blow up |
//! | [`pattern`] | the filter: prefixes, a regex or a glob, on streams or on types |

pub mod glob;
pub mod pattern;

pub use glob::Glob;
pub use pattern::{Filter, FilterError, Pattern, Target};
