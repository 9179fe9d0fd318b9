//! A user: whether it may log in, its passwords, and its selectors.

use super::catalogue::Catalogue;
use super::limits::Usage;
use super::password::PasswordHash;
use super::rule::RuleError;
use super::selector::Selector;
use super::words;
use std::sync::Arc;

/// What is said of a user and permits nothing by itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// What it is called by people.
    pub full_name: String,
    /// The groups that it is in.
    pub groups: Vec<String>,
}

/// What begins the rules that say it; a rule has no spaces, so these are written as `%20`.
const FULL_NAME: &[u8] = b"full-name=";
const GROUP: &[u8] = b"group=";

/// The rules that say this of a user, in place of what was said before.
pub fn about_rules(full_name: &str, groups: &[String]) -> Vec<Vec<u8>> {
    let name = [FULL_NAME, &words::encoded(full_name)].concat();
    let groups = groups.iter().filter(|group| !group.is_empty()).map(|group| [GROUP, &words::encoded(group)].concat());
    [name, GROUP.to_vec()].into_iter().chain(groups).collect()
}

/// A user. Without rules it is off, has no password, and may do nothing.
#[derive(Clone, Debug)]
pub struct User {
    name: Box<[u8]>,
    serial: u64,
    is_on: bool,
    needs_no_password: bool,
    /// What was said of the sanitation of payloads, which this server always does.
    sanitizes: Option<bool>,
    passwords: Vec<PasswordHash>,
    root: Selector,
    selectors: Vec<Selector>,
    about: About,
    /// What its clients have in use; the same for all versions of it.
    usage: Arc<Usage>,
}

impl User {
    /// A user without rules. `serial` tells it from other users that have the name before or after it.
    pub(super) fn new(name: &[u8], serial: u64) -> User {
        User {
            name: name.into(),
            serial,
            is_on: false,
            needs_no_password: false,
            sanitizes: None,
            passwords: Vec::new(),
            root: Selector::new(),
            selectors: Vec::new(),
            about: About::default(),
            usage: Arc::default(),
        }
    }

    /// Its name.
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// Tells it from other users that have the name before or after it; a change of its rules leaves it as it is.
    pub fn serial(&self) -> u64 {
        self.serial
    }

    /// The same user, as if it were another one, which has this in use.
    pub(super) fn with_identity(self, serial: u64, usage: Arc<Usage>) -> User {
        User { serial, usage, ..self }
    }

    /// What its clients have in use.
    #[inline]
    pub fn usage(&self) -> &Arc<Usage> {
        &self.usage
    }

    /// Whether everything is permitted to it.
    pub fn is_unlimited(&self) -> bool {
        self.root.is_unlimited()
    }

    /// Whether clients are this user without a login: it is on and needs no password. Only the default user is asked.
    pub fn is_open(&self) -> bool {
        self.is_on && self.needs_no_password
    }

    /// Whether anybody may log in as this user.
    pub fn is_on(&self) -> bool {
        self.is_on
    }

    /// Whether it needs no password.
    pub fn needs_no_password(&self) -> bool {
        self.needs_no_password
    }

    /// Whether somebody with this password may log in as this user.
    pub fn accepts(&self, password: &[u8]) -> bool {
        // All of them, so that the time does not tell which; and also of a user that is off, so that it does not tell that.
        let is_one_of = |given| self.passwords.iter().fold(false, |found, own| found | own.matches(&given));
        let has_password = std::hint::black_box(PasswordHash::of(password).is_some_and(is_one_of));
        self.is_on && (self.needs_no_password || has_password)
    }

    /// The selector outside of parentheses.
    #[inline]
    pub fn root(&self) -> &Selector {
        &self.root
    }

    /// The selectors in parentheses.
    #[inline]
    pub fn selectors(&self) -> &[Selector] {
        &self.selectors
    }

    /// What is said of it.
    pub fn about(&self) -> &About {
        &self.about
    }

    /// The hashes of its passwords.
    pub fn passwords(&self) -> &[PasswordHash] {
        &self.passwords
    }

    /// Applies a rule. An empty one changes nothing.
    ///
    /// # Errors
    /// What is wrong with it. The user may be used no more then.
    pub(super) fn apply(&mut self, rule: &[u8], catalogue: &Catalogue) -> Result<(), RuleError> {
        let is = |word: &str| rule.eq_ignore_ascii_case(word.as_bytes());
        match rule {
            [] => {}
            _ if is("on") => self.is_on = true,
            _ if is("off") => self.is_on = false,
            _ if is("skip-sanitize-payload") => self.sanitizes = Some(false),
            _ if is("sanitize-payload") => self.sanitizes = Some(true),
            _ if is("nopass") => {
                self.needs_no_password = true;
                self.passwords.clear();
            }
            _ if is("resetpass") => self.reset_passwords(),
            [b'>', password @ ..] => {
                self.add_password(PasswordHash::of(password).ok_or(RuleError::PasswordTooLong)?);
            }
            [b'#', hash @ ..] => self.add_password(PasswordHash::from_hex(hash).ok_or(RuleError::NoHash)?),
            [b'<', password @ ..] => {
                return self.remove_password(&PasswordHash::of(password).ok_or(RuleError::NoSuchPassword)?);
            }
            [b'!', hash @ ..] => {
                return self.remove_password(&PasswordHash::from_hex(hash).ok_or(RuleError::NoHash)?);
            }
            [b'(', rules @ .., b')'] => {
                let mut selector = Selector::new();
                let words = rules.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
                words.into_iter().try_for_each(|word| selector.apply(word, catalogue))?;
                self.selectors.push(selector);
            }
            _ if rule.starts_with(FULL_NAME) => {
                self.about.full_name = words::decoded(&rule[FULL_NAME.len()..]).ok_or(RuleError::Syntax)?;
            }
            _ if is("group=") => self.about.groups.clear(),
            _ if rule.starts_with(GROUP) => {
                let group = words::decoded(&rule[GROUP.len()..]).ok_or(RuleError::Syntax)?;
                if !self.about.groups.contains(&group) {
                    self.about.groups.push(group);
                }
            }
            _ if is("clearselectors") => self.selectors.clear(),
            _ if is("reset") => {
                *self = User::new(&self.name, self.serial).with_identity(self.serial, self.usage.clone());
                self.sanitizes = Some(true);
            }
            rule => return self.root.apply(rule, catalogue),
        }
        Ok(())
    }

    /// Removes all passwords; then nobody can log in.
    pub(super) fn reset_passwords(&mut self) {
        self.needs_no_password = false;
        self.passwords.clear();
    }

    fn add_password(&mut self, hash: PasswordHash) {
        self.needs_no_password = false;
        if self.passwords.iter().all(|own| !own.matches(&hash)) {
            self.passwords.push(hash);
        }
    }

    fn remove_password(&mut self, hash: &PasswordHash) -> Result<(), RuleError> {
        let place = self.passwords.iter().position(|own| own.matches(hash)).ok_or(RuleError::NoSuchPassword)?;
        self.passwords.remove(place);
        Ok(())
    }

    /// What it is, in the words of rules.
    pub fn flags(&self) -> impl Iterator<Item = &'static str> {
        let sanitation = self.sanitizes.map(|does| if does { "sanitize-payload" } else { "skip-sanitize-payload" });
        let passwords = self.needs_no_password.then_some("nopass");
        std::iter::once(if self.is_on { "on" } else { "off" }).chain(passwords).chain(sanitation)
    }

    /// The rules that make a user like this one.
    pub fn describe(&self) -> Vec<u8> {
        let mut parts: Vec<Vec<u8>> = self.flags().map(|flag| flag.as_bytes().to_vec()).collect();
        parts.extend(self.passwords.iter().map(|hash| format!("#{hash}").into_bytes()));
        if !self.about.full_name.is_empty() {
            parts.push([FULL_NAME, &words::encoded(&self.about.full_name)].concat());
        }
        parts.extend(self.about.groups.iter().map(|group| [GROUP, &words::encoded(group)].concat()));
        parts.push(self.root.describe());
        parts.extend(self.selectors.iter().map(|selector| [b"(", &selector.describe()[..], b")"].concat()));
        parts.join(&b' ')
    }

    /// The line of a file of users, and of ACL LIST, that makes this user.
    pub fn line(&self) -> Vec<u8> {
        [b"user ", &self.name[..], b" ", &self.describe()[..]].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::catalogue::small;
    use crate::access::rule::merge_selectors;

    fn apply(rules: &str) -> Result<User, RuleError> {
        let (catalogue, mut user) = (small(), User::new(b"u", 1));
        for rule in merge_selectors(rules.split(' ').map(str::as_bytes)).expect("balanced") {
            user.apply(&rule, &catalogue)?;
        }
        Ok(user)
    }

    fn describe(rules: &str) -> String {
        let user = apply(rules).unwrap_or_else(|error| panic!("{rules}: {error}"));
        String::from_utf8(user.describe()).expect("text")
    }

    #[test]
    fn a_user_is_described_by_rules_that_make_it() {
        let hash = PasswordHash::of(b"pw").expect("it is short");
        let first = format!("on #{hash}");
        for (rules, description) in [
            ("", "off resetchannels -@all".to_owned()),
            ("+@all ~* &* on nopass", "on nopass ~* &* +@all".to_owned()),
            ("allcommands allkeys -@admin -get", "off ~* resetchannels +@all -@admin -get".to_owned()),
            (
                "on >pw ~app:* %R~ro:* %w~wo:* %rw~rw:* &ch +@read +config|get",
                format!("{first} ~app:* %R~ro:* %W~wo:* ~rw:* resetchannels &ch -@all +@read +config|get"),
            ),
            ("+@all -@all +get +SET -get", "off resetchannels -@all +set -get".to_owned()),
            ("+config|get +config|set -config", "off resetchannels -@all -config".to_owned()),
            ("+config -config|set", "off resetchannels -@all +config -config|set".to_owned()),
            ("+select|0 +SELECT|1", "off resetchannels -@all +select|0 +select|1".to_owned()),
            ("+select|0 +select", "off resetchannels -@all +select".to_owned()),
            (
                "(+set ~x:*) (%R~y:* +get)",
                "off resetchannels -@all (~x:* resetchannels -@all +set) (%R~y:* resetchannels -@all +get)".to_owned(),
            ),
            ("(+set ~x:*) clearselectors", "off resetchannels -@all".to_owned()),
            ("~a ~a %R~a", "off ~a resetchannels -@all".to_owned()),
            // However it is written: a pattern behind it would be refused when the description is read.
            ("~a %RW~*", "off ~* resetchannels -@all".to_owned()),
            ("%R~* %W~*", "off ~* resetchannels -@all".to_owned()),
            ("%R", "off %R~ resetchannels -@all".to_owned()),
            ("on >pw ~a +get reset", "off sanitize-payload resetchannels -@all".to_owned()),
            ("skip-sanitize-payload", "off skip-sanitize-payload resetchannels -@all".to_owned()),
            (
                "full-name=Ann%20%28B%29 group=$ops group=a%25 group=$ops",
                "off full-name=Ann%20%28B%29 group=$ops group=a%25 resetchannels -@all".to_owned(),
            ),
            ("full-name=x group=a group= full-name=", "off resetchannels -@all".to_owned()),
        ] {
            assert_eq!(describe(rules), description, "{rules}");
            assert_eq!(describe(&description), description, "again");
        }
    }

    #[test]
    fn errors_say_what_is_wrong() {
        for (rules, error) in [
            ("+nosuch", RuleError::Unknown),
            ("-nosuch", RuleError::Unknown),
            ("+@nosuch", RuleError::Unknown),
            ("-select|0", RuleError::Unknown),
            ("+config|nosuch", RuleError::Unknown),
            ("(+nosuch)", RuleError::Unknown),
            ("+config|set|x", RuleError::WordOfSubcommand),
            ("+get|", RuleError::Syntax),
            ("foo", RuleError::Syntax),
            ("%X~a", RuleError::Syntax),
            ("%~a", RuleError::Syntax),
            ("%RR~a", RuleError::Syntax),
            ("~a\tb", RuleError::Syntax),
            // It would be a line of its own in the file of users.
            ("+get|a\nuser", RuleError::Syntax),
            ("%RW~* ~x", RuleError::AfterAllKeys),
            ("~* ~x", RuleError::AfterAllKeys),
            ("&* &x", RuleError::AfterAllChannels),
            ("<pw", RuleError::NoSuchPassword),
            ("full-name=%2", RuleError::Syntax),
            ("group=%ff", RuleError::Syntax),
            ("#abc", RuleError::NoHash),
            ("!abc", RuleError::NoHash),
        ] {
            assert_eq!(apply(rules).err(), Some(error), "{rules}");
        }
        assert!(matches!(apply(&format!("~{}", "a".repeat(1 << 20))), Err(RuleError::Pattern(_))));
    }

    #[test]
    fn a_password_opens_only_a_user_that_is_on() {
        let accepts = |rules: &str, password: &str| apply(rules).expect("rules").accepts(password.as_bytes());
        assert!(accepts("on >a >b", "a") && accepts("on >a >b", "b") && !accepts("on >a >b", "c"));
        assert!(!accepts("on >a >b <a", "a") && !accepts(">a", "a") && !accepts("on", ""));
        assert!(accepts("on nopass", "anything") && !accepts("on nopass >a", "anything"));
        assert!(!accepts("on >a resetpass", "a"));
        let hash = PasswordHash::of(b"x").expect("it is short");
        assert!(accepts(&format!("on #{hash}"), "x") && !accepts(&format!("on #{hash} !{hash}"), "x"));
        let long = "x".repeat(crate::limits::PASSWORD_BYTES_MAX + 1);
        assert!(!accepts("on >a", &long) && accepts("on nopass", &long));
        assert_eq!(apply(&format!("on >{long}")).err(), Some(RuleError::PasswordTooLong));
    }
}
