//! A selector: one set of permissions, for commands together with the keys and channels that they may use.

use super::catalogue::Catalogue;
use super::category::Category;
use super::check::Need;
use super::command_set::CommandSet;
use super::pattern::{ChannelPattern, KeyPattern, first_word};
use super::rule::RuleError;

/// One set of permissions.
#[derive(Clone, Debug)]
pub struct Selector {
    may_all_commands: bool,
    may_all_keys: bool,
    may_all_channels: bool,
    commands: CommandSet,
    /// Commands that are permitted with one first argument only, which is compared in any case.
    words: Vec<(usize, Box<[u8]>)>,
    keys: Vec<KeyPattern>,
    channels: Vec<ChannelPattern>,
    /// Whether the rules on commands begin with `+@all`, else with `-@all`.
    begins_with_all: bool,
    /// The rules on commands that follow, in lower case and in their order, without those that have no effect any more.
    rules: Vec<Box<[u8]>>,
}

impl Selector {
    /// A selector that permits nothing.
    pub(super) fn new() -> Selector {
        Selector {
            may_all_commands: false,
            may_all_keys: false,
            may_all_channels: false,
            commands: CommandSet::NONE,
            words: Vec::new(),
            keys: Vec::new(),
            channels: Vec::new(),
            begins_with_all: false,
            rules: Vec::new(),
        }
    }

    /// Whether it permits everything.
    pub(super) fn is_unlimited(&self) -> bool {
        self.may_all_commands && self.has_all_objects()
    }

    /// Whether it permits a command.
    #[inline]
    pub(super) fn may_run(&self, command: usize) -> bool {
        self.may_all_commands || self.commands.has(command)
    }

    /// Whether it permits a command for the sake of its first argument.
    #[cold]
    pub(super) fn may_run_with(&self, command: usize, word: Option<&[u8]>) -> bool {
        let is_it = |own: &[u8]| word.is_some_and(|word| word.eq_ignore_ascii_case(own));
        self.words.iter().any(|(of, own)| *of == command && is_it(own))
    }

    /// Whether it permits all keys and channels.
    #[inline]
    pub(super) fn has_all_objects(&self) -> bool {
        self.may_all_keys && self.may_all_channels
    }

    /// Whether it permits this of a key.
    #[inline]
    pub(super) fn may_use(&self, key: &[u8], need: Need) -> bool {
        let word = first_word(key);
        self.may_all_keys || self.keys.iter().any(|pattern| pattern.covers(key, word, need))
    }

    /// Whether it permits this of every key.
    pub(super) fn may_use_all_keys(&self, need: Need) -> bool {
        self.may_all_keys || self.keys.iter().any(|pattern| pattern.covers_all(need))
    }

    /// Whether it permits a channel.
    pub(super) fn may_use_channel(&self, channel: &[u8]) -> bool {
        self.may_all_channels || self.channels.iter().any(|pattern| pattern.covers(channel))
    }

    /// Whether it permits a pattern of channels.
    pub(super) fn may_use_channel_pattern(&self, pattern: &[u8]) -> bool {
        self.may_all_channels || self.channels.iter().any(|own| *own.text == *pattern)
    }

    /// Applies a rule.
    ///
    /// # Errors
    /// What is wrong with it. The selector may be used no more then.
    pub(super) fn apply(&mut self, rule: &[u8], catalogue: &Catalogue) -> Result<(), RuleError> {
        let is = |word: &str| rule.eq_ignore_ascii_case(word.as_bytes());
        match rule {
            _ if is("allkeys") || is("~*") => self.set_all_keys(true),
            _ if is("resetkeys") => self.set_all_keys(false),
            _ if is("allchannels") || is("&*") => self.set_all_channels(true),
            _ if is("resetchannels") => self.set_all_channels(false),
            _ if is("allcommands") || is("+@all") => self.set_all_commands(true),
            _ if is("nocommands") || is("-@all") => self.set_all_commands(false),
            [b'~', pattern @ ..] => return self.add_keys(Need::BOTH, pattern),
            [b'%', rest @ ..] => return self.add_keys_of(rest),
            [b'&', pattern @ ..] => return self.add_channels(pattern),
            [sign @ (b'+' | b'-'), b'@', category @ ..] => {
                return self.set_category(*sign == b'+', category, catalogue);
            }
            [b'+', name @ ..] if name.contains(&b'|') => return self.add_inner(name, catalogue),
            [sign @ (b'+' | b'-'), name @ ..] => {
                let command = catalogue.find(name).ok_or(RuleError::Unknown)?;
                self.set_command(command, *sign == b'+', catalogue);
                self.note_rule(*sign, name);
            }
            _ => return Err(RuleError::Syntax),
        }
        Ok(())
    }

    fn set_all_keys(&mut self, may: bool) {
        self.may_all_keys = may;
        self.keys.clear();
    }

    fn set_all_channels(&mut self, may: bool) {
        self.may_all_channels = may;
        self.channels.clear();
    }

    fn set_all_commands(&mut self, may: bool) {
        self.commands = if may { CommandSet::ALL } else { CommandSet::NONE };
        (self.may_all_commands, self.begins_with_all) = (may, may);
        self.words.clear();
        self.rules.clear();
    }

    /// `%R~`, `%W~`, `%RW~` in any case; the letters may be missing, and so may what follows them.
    fn add_keys_of(&mut self, rest: &[u8]) -> Result<(), RuleError> {
        let (mut need, mut at) = (Need::NOTHING, 0);
        for letter in rest {
            at += 1;
            match letter.to_ascii_uppercase() {
                b'R' if !need.reads => need.reads = true,
                b'W' if !need.writes => need.writes = true,
                b'~' => break,
                _ => return Err(RuleError::Syntax),
            }
        }
        // Without a letter the pattern would permit nothing.
        if need == Need::NOTHING {
            return Err(RuleError::Syntax);
        }
        self.add_keys(need, &rest[at..])
    }

    fn add_keys(&mut self, permits: Need, pattern: &[u8]) -> Result<(), RuleError> {
        if self.may_all_keys {
            return Err(RuleError::AfterAllKeys);
        }
        if has_spaces(pattern) {
            return Err(RuleError::Syntax);
        }
        // However it is written.
        if permits == Need::BOTH && pattern == b"*" {
            self.set_all_keys(true);
            return Ok(());
        }
        match self.keys.iter_mut().find(|own| *own.text == *pattern) {
            Some(own) => {
                own.permits.reads |= permits.reads;
                own.permits.writes |= permits.writes;
                if own.permits == Need::BOTH && pattern == b"*" {
                    self.set_all_keys(true);
                }
            }
            None => self.keys.push(KeyPattern::new(pattern, permits)?),
        }
        Ok(())
    }

    fn add_channels(&mut self, pattern: &[u8]) -> Result<(), RuleError> {
        if self.may_all_channels {
            return Err(RuleError::AfterAllChannels);
        }
        if has_spaces(pattern) {
            return Err(RuleError::Syntax);
        }
        if self.channels.iter().all(|own| *own.text != *pattern) {
            self.channels.push(ChannelPattern::new(pattern)?);
        }
        Ok(())
    }

    fn set_category(&mut self, may: bool, name: &[u8], catalogue: &Catalogue) -> Result<(), RuleError> {
        match Category::by_name(name) {
            Some(category) => {
                let commands = catalogue.in_category(category);
                commands.for_each(|command| self.set_command(command, may, catalogue));
            }
            // No command is in it, so the rule is only kept.
            None if Category::is_foreign(name) => {}
            None => return Err(RuleError::Unknown),
        }
        self.note_rule(if may { b'+' } else { b'-' }, &[b"@", name].concat());
        Ok(())
    }

    /// `+command|word`: a subcommand, or a command with this as its first argument only.
    fn add_inner(&mut self, name: &[u8], catalogue: &Catalogue) -> Result<(), RuleError> {
        let bar = name.iter().rposition(|byte| *byte == b'|').ok_or(RuleError::Syntax)?;
        let (outer, word) = (&name[..bar], &name[bar + 1..]);
        let command = catalogue.find(outer).ok_or(RuleError::Unknown)?;
        if catalogue.is_subcommand(command) {
            return Err(RuleError::WordOfSubcommand);
        }
        if word.is_empty() || has_spaces(word) {
            return Err(RuleError::Syntax);
        }
        if catalogue.subcommands(command).next().is_some() {
            let subcommand = catalogue.find(name).ok_or(RuleError::Unknown)?;
            self.set_command(subcommand, true, catalogue);
        } else if !self.may_run_with(command, Some(word)) {
            self.words.push((command, word.into()));
        }
        self.note_rule(b'+', name);
        Ok(())
    }

    /// Permits or forbids a command with its subcommands.
    fn set_command(&mut self, command: usize, may: bool, catalogue: &Catalogue) {
        self.may_all_commands &= may;
        self.commands.set(command, may);
        self.words.retain(|(of, _)| *of != command);
        catalogue.subcommands(command).for_each(|subcommand| self.commands.set(subcommand, may));
    }

    /// Keeps a rule on commands for the description, in place of those that it makes void.
    fn note_rule(&mut self, sign: u8, name: &[u8]) {
        let name = name.to_ascii_lowercase();
        self.rules.retain(|rule| {
            let rest = rule[1..].strip_prefix(&name[..]);
            rest.is_none_or(|rest| !rest.is_empty() && rest[0] != b'|')
        });
        self.rules.push([&[sign], &name[..]].concat().into());
    }

    /// The rules on commands.
    pub fn describe_commands(&self) -> Vec<u8> {
        let first: &[u8] = if self.begins_with_all { b"+@all" } else { b"-@all" };
        std::iter::once(first).chain(self.rules.iter().map(|rule| &**rule)).collect::<Vec<_>>().join(&b' ')
    }

    /// The rules on keys.
    pub fn describe_keys(&self) -> Vec<u8> {
        if self.may_all_keys {
            return b"~*".to_vec();
        }
        let mut out = Vec::new();
        for (place, pattern) in self.keys.iter().enumerate() {
            if place > 0 {
                out.push(b' ');
            }
            pattern.describe(&mut out);
        }
        out
    }

    /// The rules on channels.
    pub fn describe_channels(&self) -> Vec<u8> {
        if self.may_all_channels {
            return b"&*".to_vec();
        }
        let patterns: Vec<Vec<u8>> = self.channels.iter().map(|own| [b"&", &own.text[..]].concat()).collect();
        patterns.join(&b' ')
    }

    /// All rules that make a selector like this one.
    pub(super) fn describe(&self) -> Vec<u8> {
        let reset: &[u8] = if self.may_all_channels { b"" } else { b"resetchannels" };
        let parts = [self.describe_keys(), reset.to_vec(), self.describe_channels(), self.describe_commands()];
        let parts: Vec<Vec<u8>> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        parts.join(&b' ')
    }
}

/// Whether a name or a pattern cannot be written into a line of rules.
pub(super) fn has_spaces(text: &[u8]) -> bool {
    // As C's `isspace`.
    text.iter().any(|byte| matches!(byte, b' ' | b'\t'..=b'\r' | 0))
}
