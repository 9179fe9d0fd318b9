//! Redis's glob patterns on bytes: `*` any run, `?` any byte, `[a-c]` and `[^a-c]` one byte, `\` takes the next byte as
//! it is.
//!
//! As in Redis, a class that is not closed ends with the pattern, `]` right after `[` closes, a range may be given
//! backwards and may end in `]`, a `\` that ends the pattern stands for itself, and the empty name is matched by `*` and
//! by the empty pattern only.

/// A glob, compiled.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Glob(Kind);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Kind {
    All,
    Exact(Box<[u8]>),
    Prefix(Box<[u8]>),
    /// Matched token by token after the literal bytes that they begin with.
    Tokens(Box<[u8]>, Box<[Token]>),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Token {
    /// Any run of bytes.
    Run,
    /// Any one byte.
    Any,
    Byte(u8),
    /// One byte out of a class.
    Class(Box<Class>),
}

/// A set of bytes, a bit for each.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Class([u64; 4]);

impl Class {
    fn insert(&mut self, byte: u8) {
        self.0[usize::from(byte >> 6)] |= 1 << (byte & 63);
    }

    fn contains(&self, byte: u8) -> bool {
        self.0[usize::from(byte >> 6)] >> (byte & 63) & 1 == 1
    }

    /// Reads a class from after its `[` on; also returns what follows it.
    fn read(pattern: &[u8]) -> (Class, &[u8]) {
        let (negated, mut rest) = match pattern {
            [b'^', rest @ ..] => (true, rest),
            rest => (false, rest),
        };
        let mut class = Class::default();
        loop {
            rest = match rest {
                [] => break,
                [b'\\', byte, rest @ ..] => {
                    class.insert(*byte);
                    rest
                }
                [b']', after @ ..] => {
                    rest = after;
                    break;
                }
                [a, b'-', b, rest @ ..] => {
                    (*a.min(b)..=*a.max(b)).for_each(|byte| class.insert(byte));
                    rest
                }
                [byte, rest @ ..] => {
                    class.insert(*byte);
                    rest
                }
            };
        }
        if negated {
            class.0 = class.0.map(|bits| !bits);
        }
        (class, rest)
    }
}

impl Token {
    fn takes(&self, byte: u8) -> bool {
        match self {
            Token::Run => false,
            Token::Any => true,
            Token::Byte(expected) => *expected == byte,
            Token::Class(class) => class.contains(byte),
        }
    }
}

impl Glob {
    /// Compiles `pattern`. Every sequence of bytes is one.
    pub fn new(pattern: &[u8]) -> Glob {
        if pattern == b"*" {
            return Glob(Kind::All);
        }
        let mut tokens = Vec::new();
        let mut rest = pattern;
        while let [byte, after @ ..] = rest {
            rest = after;
            let token = match (byte, after) {
                (b'*', _) if tokens.last() == Some(&Token::Run) => continue,
                (b'*', _) => Token::Run,
                (b'?', _) => Token::Any,
                (b'[', _) => {
                    let (class, after) = Class::read(after);
                    rest = after;
                    Token::Class(Box::new(class))
                }
                (b'\\', [escaped, after @ ..]) => {
                    rest = after;
                    Token::Byte(*escaped)
                }
                (byte, _) => Token::Byte(*byte),
            };
            tokens.push(token);
        }
        let literal: Box<[u8]> =
            tokens.iter().map_while(|token| if let Token::Byte(byte) = token { Some(*byte) } else { None }).collect();
        tokens.drain(..literal.len());
        Glob(match tokens[..] {
            [] => Kind::Exact(literal),
            [Token::Run] if !literal.is_empty() => Kind::Prefix(literal),
            _ => Kind::Tokens(literal, tokens.into()),
        })
    }

    /// Whether `name` matches. Takes at most the product of both lengths, whatever the pattern.
    pub fn matches(&self, name: &[u8]) -> bool {
        match &self.0 {
            Kind::All => true,
            Kind::Exact(exact) => **exact == *name,
            Kind::Prefix(prefix) => name.starts_with(prefix),
            Kind::Tokens(literal, tokens) => {
                !name.is_empty() && name.strip_prefix(&**literal).is_some_and(|rest| tokens_match(tokens, rest))
            }
        }
    }

    /// Whether it matches everything.
    pub fn is_all(&self) -> bool {
        self.0 == Kind::All
    }

    /// The bytes that every match begins with; the one match itself where there is only one.
    pub fn prefix(&self) -> &[u8] {
        match &self.0 {
            Kind::All => b"",
            Kind::Exact(bytes) | Kind::Prefix(bytes) | Kind::Tokens(bytes, _) => bytes,
        }
    }

    /// How many tokens it has: its literal bytes, runs and classes.
    pub fn token_count(&self) -> usize {
        match &self.0 {
            Kind::All => 1,
            Kind::Exact(bytes) | Kind::Prefix(bytes) => bytes.len(),
            Kind::Tokens(bytes, tokens) => bytes.len() + tokens.len(),
        }
    }

    /// Whether it matches exactly what begins with [`Glob::prefix`].
    pub fn is_prefix(&self) -> bool {
        matches!(self.0, Kind::Prefix(_))
    }

    /// The literal runs of bytes, each of which is in every name that matches.
    pub fn literals(&self) -> Vec<Vec<u8>> {
        let mut runs = vec![self.prefix().to_vec()];
        if let Kind::Tokens(_, tokens) = &self.0 {
            for token in tokens {
                match (token, runs.last_mut()) {
                    (Token::Byte(byte), Some(run)) => run.push(*byte),
                    (Token::Byte(_), None) | (Token::Run | Token::Any | Token::Class(_), _) => runs.push(Vec::new()),
                }
            }
        }
        runs.retain(|run| !run.is_empty());
        runs
    }

    /// The same as an anchored regex on bytes, but for the empty name.
    pub fn to_regex(&self) -> String {
        let mut regex = String::from(r"(?s-u)\A");
        let byte = |regex: &mut String, byte: u8| regex.push_str(&format!(r"\x{byte:02X}"));
        self.prefix().iter().for_each(|&one| byte(&mut regex, one));
        match &self.0 {
            Kind::All | Kind::Prefix(_) => regex.push_str(".*"),
            Kind::Exact(_) => {}
            Kind::Tokens(_, tokens) => {
                for token in tokens {
                    match token {
                        Token::Run => regex.push_str(".*"),
                        Token::Any => regex.push('.'),
                        Token::Byte(one) => byte(&mut regex, *one),
                        Token::Class(class) => {
                            let members: Vec<u8> = (0..=255).filter(|&one| class.contains(one)).collect();
                            regex.push_str(if members.is_empty() { r"[^\x00-\xFF" } else { "[" });
                            members.iter().for_each(|&one| byte(&mut regex, one));
                            regex.push(']');
                        }
                    }
                }
            }
        }
        regex + r"\z"
    }

    /// The one name that matches, if the pattern has nothing special in it.
    pub fn exact(&self) -> Option<&[u8]> {
        match &self.0 {
            Kind::Exact(bytes) => Some(bytes),
            Kind::All | Kind::Prefix(_) | Kind::Tokens(..) => None,
        }
    }
}

/// Only the last run is ever made longer: where an earlier one would have to take more, the last can take it instead.
fn tokens_match(tokens: &[Token], name: &[u8]) -> bool {
    let (mut token, mut at) = (0, 0);
    // After the last run: its following token, and where in the name that was last tried.
    let mut retry: Option<(usize, usize)> = None;
    loop {
        match tokens.get(token) {
            Some(Token::Run) => {
                token += 1;
                retry = Some((token, at));
                continue;
            }
            Some(one) if name.get(at).is_some_and(|&byte| one.takes(byte)) => {
                token += 1;
                at += 1;
                continue;
            }
            None if at == name.len() => return true,
            Some(_) | None => {}
        }
        match &mut retry {
            Some((after_run, tried)) if *tried < name.len() => {
                *tried += 1;
                (token, at) = (*after_run, *tried);
            }
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter::Regex;
    use proptest::prelude::*;

    fn matches(pattern: &str, name: &str) -> bool {
        Glob::new(pattern.as_bytes()).matches(name.as_bytes())
    }

    /// The definition, without regard to time.
    fn model(tokens: &[Token], name: &[u8]) -> bool {
        match tokens {
            [] => name.is_empty(),
            [Token::Run, rest @ ..] => (0..=name.len()).any(|skip| model(rest, &name[skip..])),
            [one, rest @ ..] => name.first().is_some_and(|&byte| one.takes(byte)) && model(rest, &name[1..]),
        }
    }

    #[test]
    fn the_usual_patterns_take_the_short_ways() {
        assert_eq!(Glob::new(b"*").0, Kind::All);
        assert_eq!(Glob::new(b"user:1").0, Kind::Exact(b"user:1".as_slice().into()));
        assert_eq!(Glob::new(b"user:\\*").0, Kind::Exact(b"user:*".as_slice().into()));
        assert_eq!(Glob::new(b"user:**").0, Kind::Prefix(b"user:".as_slice().into()));
    }

    #[test]
    fn each_special_byte_matches_what_it_stands_for() {
        for (pattern, name) in [
            ("h?llo", "hello"),
            ("h*llo", "hllo"),
            ("h*llo", "heeello"),
            ("h[ae]llo", "hallo"),
            ("h[^e]llo", "hbllo"),
            ("h[a-b]llo", "hbllo"),
            ("h[b-a]llo", "hallo"),
            ("\\[a]", "[a]"),
            ("[\\]]", "]"),
            ("a\\", "a\\"),
            ("*a*b*c", "xaybzc"),
            ("*ab", "aab"),
        ] {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in
            [("h?llo", "hllo"), ("h[^e]llo", "hello"), ("h[a-b]llo", "hcllo"), ("a*b", "abc"), ("", "a"), ("[]a]", "a")]
        {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
    }

    #[test]
    fn an_open_class_ends_with_the_pattern() {
        assert!(matches("[abc", "b") && !matches("[abc", "[abc") && !matches("[", "["));
        assert!(matches("[^", "x") && matches("[a-", "-") && matches("[a-]", "^") && matches("[\\", "\\"));
    }

    #[test]
    fn the_empty_name_is_matched_by_star_and_the_empty_pattern_only() {
        assert!(matches("*", "") && matches("", "") && !matches("**", "") && !matches("?", ""));
    }

    #[test]
    fn many_stars_do_not_blow_up() {
        let pattern = "a*".repeat(200) + "b";
        assert!(!matches(&pattern, &"a".repeat(20_000)));
    }

    proptest! {
        #[test]
        fn the_regex_of_a_glob_matches_what_the_glob_does(
            pattern in proptest::collection::vec(
                prop_oneof![4 => prop_oneof![Just(b'*'), Just(b'?'), Just(b'['), Just(b']'), Just(b'^'), Just(b'-'), Just(b'\\'), Just(b'\n')], 4 => b'a'..=b'c', 1 => any::<u8>()],
                0..10,
            ),
            name in proptest::collection::vec(prop_oneof![8 => b'a'..=b'c', 1 => Just(b'\n'), 1 => any::<u8>()], 1..12),
        ) {
            let glob = Glob::new(&pattern);
            let regex = Regex::new(glob.to_regex().as_bytes()).expect("a regex");
            prop_assert_eq!(regex.matches(&name), glob.matches(&name));
            for literal in glob.literals() {
                prop_assert!(!glob.matches(&name) || memchr::memmem::find(&name, &literal).is_some());
            }
        }

        #[test]
        fn matching_agrees_with_the_definition(
            pattern in proptest::collection::vec(
                prop_oneof![3 => Just(b'*'), 1 => Just(b'?'), 1 => Just(b'['), 1 => Just(b']'), 1 => Just(b'^'), 1 => Just(b'-'), 1 => Just(b'\\'), 4 => b'a'..=b'c'], 0..10),
            name in proptest::collection::vec(prop_oneof![9 => b'a'..=b'c', 1 => Just(b'-'), 1 => Just(b']')], 1..12),
        ) {
            let glob = Glob::new(&pattern);
            let tokens: Vec<Token> = match &glob.0 {
                Kind::All => vec![Token::Run],
                Kind::Exact(bytes) => bytes.iter().map(|&byte| Token::Byte(byte)).collect(),
                Kind::Prefix(bytes) => bytes.iter().map(|&byte| Token::Byte(byte)).chain([Token::Run]).collect(),
                Kind::Tokens(bytes, tokens) => bytes.iter().map(|&byte| Token::Byte(byte)).chain(tokens.to_vec()).collect(),
            };
            prop_assert_eq!(glob.matches(&name), model(&tokens, &name));
            if glob.matches(&name) {
                prop_assert!(name.starts_with(glob.prefix()));
            }
        }
    }
}
