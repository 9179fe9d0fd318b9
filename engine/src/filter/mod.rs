//! Which events a read or a subscription wants.
//!
//! | module | what is in it |
//! |---|---|
//! | [`glob`] | Redis's glob patterns on bytes, in time linear in the name |
//! | [`lookaround`] | regexes with look-around |
//! | [`needs`] | the literal text that a regex requires |
//! | [`pattern`] | the filter: prefixes, a regex or a glob, on streams or on types |

pub mod glob;
pub mod lookaround;
pub mod needs;
pub mod pattern;

pub use glob::{Glob, GlobError};
pub use lookaround::Lookaround;
pub use needs::{Needs, Whole};
pub use pattern::{Filter, FilterError, Pattern, Regex, Target};
