//! The check whether a user may do what it asks for.

use super::selector::Selector;
use super::user::User;

/// What is done with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Need {
    /// Its value, or a part of it, is read or copied.
    pub reads: bool,
    /// It is changed.
    pub writes: bool,
}

impl Need {
    /// Neither: only whether it exists, or how large it is, is asked.
    pub const NOTHING: Need = Need { reads: false, writes: false };
    /// It is read.
    pub const READ: Need = Need { reads: true, writes: false };
    /// It is written.
    pub const WRITE: Need = Need { reads: false, writes: true };
    /// It is read and written.
    pub const BOTH: Need = Need { reads: true, writes: true };

    /// Whether what is permitted includes what is needed.
    #[inline]
    pub const fn includes(self, need: Need) -> bool {
        self.reads >= need.reads && self.writes >= need.writes
    }
}

/// Something that a command uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Object<'a> {
    /// A key.
    Key(&'a [u8], Need),
    /// Every key: what reads all streams needs it.
    AllKeys(Need),
    /// A channel.
    Channel(&'a [u8]),
    /// A pattern of channels: only a user with the very same pattern, or with all channels, may use it.
    ChannelPattern(&'a [u8]),
}

/// Why something is denied, the more specific the greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// The user may not run the command.
    Command,
    /// It may, but not with this key.
    Key,
    /// It may, but not with this channel.
    Channel,
    /// A login has failed. No check answers this.
    Auth,
    /// A certificate names a user that there is not, or that is off. No check answers this.
    TlsCertificate,
}

/// What is denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Denial {
    /// Why.
    pub reason: Reason,
    /// Which of the command's objects, if it is for one of them; else 0.
    pub place: usize,
}

impl Selector {
    #[inline]
    fn check<'w, 'a, O>(
        &self,
        command: usize,
        word: &impl Fn() -> Option<&'w [u8]>,
        objects: &impl Fn() -> O,
    ) -> Result<(), Denial>
    where
        O: Iterator<Item = Object<'a>>,
    {
        if !self.may_run(command) && !self.may_run_with(command, word()) {
            return Err(Denial { reason: Reason::Command, place: 0 });
        }
        if self.has_all_objects() {
            return Ok(());
        }
        for (place, object) in objects().enumerate() {
            let (is_permitted, reason) = match object {
                Object::Key(key, need) => (self.may_use(key, need), Reason::Key),
                Object::AllKeys(need) => (self.may_use_all_keys(need), Reason::Key),
                Object::Channel(channel) => (self.may_use_channel(channel), Reason::Channel),
                Object::ChannelPattern(pattern) => (self.may_use_channel_pattern(pattern), Reason::Channel),
            };
            if !is_permitted {
                return Err(Denial { reason, place });
            }
        }
        Ok(())
    }
}

impl User {
    /// Whether this user may run a command with one key, by the permissions outside of parentheses alone: the short way for
    /// most commands. False says nothing.
    #[inline]
    pub fn permits(&self, command: usize, key: &[u8], need: Need) -> bool {
        self.root().may_run(command) && self.root().may_use(key, need)
    }

    /// Whether one of its selectors permits a channel.
    pub fn may_use_channel(&self, channel: &[u8]) -> bool {
        std::iter::once(self.root()).chain(self.selectors()).any(|selector| selector.may_use_channel(channel))
    }

    /// Whether one of its selectors permits a pattern of channels.
    pub fn may_use_channel_pattern(&self, pattern: &[u8]) -> bool {
        std::iter::once(self.root()).chain(self.selectors()).any(|selector| selector.may_use_channel_pattern(pattern))
    }

    /// Whether this user may run a command, given by its index in the catalogue, with these objects. `word` is the
    /// command's first argument, behind the word of a subcommand. One selector has to permit all of it.
    ///
    /// # Errors
    /// What is denied: of all selectors' reasons the most specific one, of several of these the last object.
    #[inline]
    pub fn check<'w, 'a, O>(
        &self,
        command: usize,
        word: impl Fn() -> Option<&'w [u8]>,
        objects: impl Fn() -> O,
    ) -> Result<(), Denial>
    where
        O: Iterator<Item = Object<'a>>,
    {
        let mut denial = match self.root().check(command, &word, &objects) {
            Ok(()) => return Ok(()),
            Err(denial) => denial,
        };
        for selector in self.selectors() {
            match selector.check(command, &word, &objects) {
                Ok(()) => return Ok(()),
                Err(other) => denial = denial.max(other),
            }
        }
        Err(denial)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::catalogue::{Catalogue, small};

    fn user(catalogue: &Catalogue, rules: &str) -> User {
        let mut user = User::new(b"u", 1);
        for rule in super::super::merge_selectors(rules.split(' ').map(str::as_bytes)).expect("balanced") {
            user.apply(&rule, catalogue).unwrap_or_else(|error| panic!("{rules}: {error}"));
        }
        user
    }

    fn check(rules: &str, command: &str, objects: &[Object<'_>]) -> Result<(), Denial> {
        let catalogue = small();
        let command = catalogue.find(command.as_bytes()).expect("a command of the catalogue");
        user(&catalogue, rules).check(command, || None, || objects.iter().copied())
    }

    fn denied(reason: Reason, place: usize) -> Result<(), Denial> {
        Err(Denial { reason, place })
    }

    #[test]
    fn a_command_needs_its_bit_and_a_pattern_for_each_key() {
        let key = |key: &'static str, need| Object::Key(key.as_bytes(), need);
        let rules = "+get +set ~app:* %R~ro:* %W~wo:*";
        assert_eq!(check(rules, "keys", &[]), denied(Reason::Command, 0));
        assert_eq!(check(rules, "get", &[key("app:1", Need::READ), key("ro:1", Need::READ)]), Ok(()));
        assert_eq!(check(rules, "get", &[key("app:1", Need::READ), key("wo:1", Need::READ)]), denied(Reason::Key, 1));
        assert_eq!(check(rules, "set", &[key("ro:1", Need::WRITE)]), denied(Reason::Key, 0));
        assert_eq!(check(rules, "set", &[key("wo:1", Need::WRITE)]), Ok(()));
        assert_eq!(check(rules, "set", &[key("wo:1", Need::BOTH)]), denied(Reason::Key, 0));
        assert_eq!(check(rules, "set", &[key("app:1", Need::BOTH)]), Ok(()));
        // Whether a key exists may be asked by everyone with any pattern for it.
        assert_eq!(check(rules, "get", &[key("wo:1", Need::NOTHING)]), Ok(()));
        assert_eq!(check(rules, "get", &[key("x", Need::NOTHING)]), denied(Reason::Key, 0));
    }

    #[test]
    fn reading_and_writing_by_two_patterns_is_not_doing_both() {
        let both = [Object::Key(b"k", Need::BOTH)];
        assert_eq!(check("+set %R~k %W~k", "set", &both), Ok(()), "the same pattern twice is one pattern");
        assert_eq!(check("+set %R~k %W~k*", "set", &both), denied(Reason::Key, 0));
    }

    #[test]
    fn one_selector_has_to_permit_all_of_it() {
        let objects = |keys: &[&'static str]| -> Vec<Object<'static>> {
            keys.iter().map(|key| Object::Key(key.as_bytes(), Need::READ)).collect()
        };
        let rules = "+get ~a (+keys ~b) (+get ~c)";
        assert_eq!(check(rules, "get", &objects(&["a", "a"])), Ok(()));
        assert_eq!(check(rules, "get", &objects(&["c"])), Ok(()));
        assert_eq!(check(rules, "get", &objects(&["a", "c"])), denied(Reason::Key, 1));
        assert_eq!(check(rules, "get", &objects(&["b"])), denied(Reason::Key, 0));
        assert_eq!(check(rules, "set", &objects(&["b"])), denied(Reason::Command, 0));
    }

    #[test]
    fn all_keys_are_those_of_a_star() {
        let all = [Object::AllKeys(Need::READ)];
        assert_eq!(check("+get allkeys", "get", &all), Ok(()));
        assert_eq!(check("+get %R~*", "get", &all), Ok(()));
        for rules in ["+get %W~*", "+get ~a*", "+get ~**a", "+get"] {
            assert_eq!(check(rules, "get", &all), denied(Reason::Key, 0), "{rules}");
        }
    }

    #[test]
    fn channels_are_matched_and_patterns_compared() {
        let rules = "+subscribe allkeys resetchannels &news:*";
        assert_eq!(check(rules, "subscribe", &[Object::Channel(b"news:1")]), Ok(()));
        assert_eq!(check(rules, "subscribe", &[Object::Channel(b"old")]), denied(Reason::Channel, 0));
        assert_eq!(check(rules, "subscribe", &[Object::ChannelPattern(b"news:*")]), Ok(()));
        assert_eq!(check(rules, "subscribe", &[Object::ChannelPattern(b"news:1*")]), denied(Reason::Channel, 0));
        assert_eq!(check("+subscribe &*", "subscribe", &[Object::ChannelPattern(b"x*")]), Ok(()));
    }

    #[test]
    fn a_first_word_can_be_permitted_alone() {
        let catalogue = small();
        let user = user(&catalogue, "+select|0");
        let select = catalogue.find(b"select").expect("it is there");
        let may = |word: Option<&[u8]>| user.check(select, || word, std::iter::empty::<Object<'_>>).is_ok();
        assert!(may(Some(b"0")) && !may(Some(b"1")) && !may(None));
    }
}
