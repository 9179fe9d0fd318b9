//! The names of channels of changes: `cdc:<stream>[?<option>=<value>[&…]]`, where `%XX` stands for a byte, as in a URL.

use super::Format;

/// What such a name begins with.
const PREFIX: &[u8] = b"cdc:";

/// The options that stand for a word of CDC.SUBSCRIBE with one value.
const WITH_VALUE: [&str; 7] = ["regex", "match", "on", "checkpoint", "ongap", "onslow", "window"];

/// The options that stand for a word of CDC.SUBSCRIBE. They are given without a value.
const FLAGS: [&str; 2] = ["nosystem", "resolvelinks"];

/// Whether a channel of this name is one of changes.
#[inline]
pub fn is_of_changes(channel: &[u8]) -> bool {
    channel.starts_with(PREFIX)
}

/// What a name asks for.
#[derive(Debug, PartialEq, Eq)]
pub struct Asked {
    /// The arguments of CDC.SUBSCRIBE, its name first.
    pub words: Vec<Vec<u8>>,
    /// Whether the subscription begins with what happens from now on. `words` say no start then.
    pub is_live: bool,
    /// How messages are written.
    pub format: Format,
}

/// Reads a name.
///
/// # Errors
/// What is wrong with it, for an error reply.
pub fn read(channel: &[u8]) -> Result<Asked, String> {
    let wrong = |what: &str| format!("ERR channel '{}': {what}", channel.escape_ascii());
    let rest = channel.strip_prefix(PREFIX).ok_or_else(|| wrong("not one of changes"))?;
    let (stream, options) = match rest.iter().position(|byte| *byte == b'?') {
        Some(place) => (&rest[..place], &rest[place + 1..]),
        None => (rest, &[][..]),
    };
    let decode = |bytes| decoded(bytes).ok_or_else(|| wrong("% is followed by two hexadecimal digits; %25 is %"));
    let (mut prefixes, mut format, mut from) = (Vec::new(), None, None);
    let mut words = vec![b"cdc.subscribe".to_vec(), decode(stream)?];
    for option in options.split(|byte| *byte == b'&').filter(|option| !option.is_empty()) {
        let mut parts = option.splitn(2, |byte| *byte == b'=');
        let name = parts.next().unwrap_or_default().to_ascii_lowercase();
        let value = parts.next().map(decode).transpose()?;
        let name = std::str::from_utf8(&name).unwrap_or_default();
        match (name, value) {
            ("format", Some(value)) if format.is_none() => {
                format = Some(match value.to_ascii_lowercase().as_slice() {
                    b"json" => Format::Json,
                    b"msgpack" => Format::MessagePack,
                    _ => return Err(wrong("format is json or msgpack")),
                });
            }
            ("from", Some(value)) if from.is_none() => from = Some(value),
            ("prefix", Some(value)) => prefixes.push(value),
            (name, Some(value)) if WITH_VALUE.contains(&name) => words.extend([name.into(), value]),
            (name, None) if FLAGS.contains(&name) => words.push(name.into()),
            _ => {
                return Err(wrong(
                    "an option is from=, prefix=, regex=, match=, on=, checkpoint=, ongap=, onslow=, window= or format= \
                     with a value (from and format once), or nosystem or resolvelinks",
                ));
            }
        }
    }
    if !prefixes.is_empty() {
        words.extend([b"prefix".to_vec(), prefixes.len().to_string().into_bytes()]);
        words.append(&mut prefixes);
    }
    let is_live = from.as_deref().is_none_or(|from| from.eq_ignore_ascii_case(b"end"));
    if let Some(from) = from.filter(|_| !is_live) {
        words.push(b"from".to_vec());
        match from.strip_prefix(b"position:") {
            Some(position) => words.extend([b"position".to_vec(), position.to_vec()]),
            None => words.push(from),
        }
    }
    Ok(Asked { words, is_live, format: format.unwrap_or_default() })
}

/// Bytes in which `%XX` stands for one.
fn decoded(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes.iter();
    while let Some(&byte) = rest.next() {
        if byte == b'%' {
            let mut digit = || rest.next().and_then(|digit| char::from(*digit).to_digit(16));
            let (high, low) = (digit()?, digit()?);
            out.push((high * 16 + low) as u8);
        } else {
            out.push(byte);
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(channel: &str) -> String {
        let asked = read(channel.as_bytes()).unwrap();
        let words: Vec<_> = asked.words.iter().map(|word| String::from_utf8_lossy(word).into_owned()).collect();
        format!("{}{}", words.join(" "), if asked.is_live { " (live)" } else { "" })
    }

    #[test]
    fn a_name_says_what_cdc_subscribe_is_told() {
        for (channel, wanted) in [
            ("cdc:user:1", "cdc.subscribe user:1 (live)"),
            ("cdc:$all?from=start", "cdc.subscribe $all from start"),
            ("cdc:$all?prefix=user:&prefix=order:&from=END", "cdc.subscribe $all prefix 2 user: order: (live)"),
            ("cdc:user:1?from=7&format=msgpack", "cdc.subscribe user:1 from 7"),
            ("cdc:user:1?from=position:99", "cdc.subscribe user:1 from position 99"),
            ("cdc:$all?regex=%5Ea%26b&NOSYSTEM&on=type", "cdc.subscribe $all regex ^a&b nosystem on type (live)"),
            ("cdc:what%3f%25", "cdc.subscribe what?% (live)"),
            ("cdc:a=b&c", "cdc.subscribe a=b&c (live)"),
        ] {
            assert_eq!(words(channel), wanted, "{channel}");
        }
        assert_eq!(read(b"cdc:a?format=msgpack").unwrap().format, Format::MessagePack);
        assert_eq!(read(b"cdc:a?format=JSON").unwrap().format, Format::Json);
    }

    #[test]
    fn what_a_name_does_not_mean_is_refused() {
        for channel in ["cdc:a%", "cdc:a%4", "cdc:a%zz", "cdc:a?prefix=%"] {
            assert!(read(channel.as_bytes()).unwrap_err().contains("%25 is %"), "{channel}");
        }
        for channel in
            ["cdc:a?x=1", "cdc:a?from", "cdc:a?from=1&from=2", "cdc:a?nosystem=1", "cdc:a?format=json&format=json"]
        {
            assert!(read(channel.as_bytes()).unwrap_err().contains("an option is"), "{channel}");
        }
        assert!(read(b"cdc:a?format=xml").unwrap_err().ends_with("format is json or msgpack"));
        assert!(read(b"news").is_err());
    }
}
