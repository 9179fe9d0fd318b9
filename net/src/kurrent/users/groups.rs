//! What the groups of a user permit. `$admins` may do everything, `$ops` what operators do; other groups are names that
//! permit nothing. Everybody may read and append to all streams that do not begin with `$`.

use crate::access::User;

/// The group of those who may do everything.
pub const ADMINS: &str = "$admins";
/// The group of operators.
pub const OPERATORS: &str = "$ops";

/// The rules of a user with these groups, which replace what it was permitted before.
pub fn rules(groups: &[String]) -> Vec<&'static str> {
    let mut rules = vec!["resetkeys", "resetchannels", "clearselectors", "-@all"];
    let is_in = |name: &str| groups.iter().any(|group| group == name);
    if is_in(ADMINS) {
        rules.extend(["~*", "&*", "+@all"]);
    } else {
        rules.extend(["~[^$]*", "&*", "+@all", "-@admin", "-@dangerous"]);
        if is_in(OPERATORS) {
            rules.extend(["+info", "+save", "+bgsave", "+lastsave"]);
        }
    }
    rules
}

/// The groups of a user. One that was given its rules otherwise is among the admins if it may do everything.
pub fn of(user: &User) -> Vec<String> {
    let mut groups = user.about().groups.clone();
    if user.is_unlimited() && groups.iter().all(|group| group != ADMINS) {
        groups.insert(0, ADMINS.to_owned());
    }
    groups
}
