//! `keytide hash-password`: the hash of a password, as rules of users have it.

use crate::access::{PasswordHash, RuleError};
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use std::io::{self, BufRead, IsTerminal, Write};

/// Reads a password from standard input, at a terminal behind a prompt and unseen, and writes the rule for its hash. A line
/// feed at the end is no part of it.
///
/// # Errors
/// It cannot be read, is empty or too long, or the hash cannot be written.
pub fn run(out: &mut dyn Write) -> io::Result<()> {
    let stdin = io::stdin();
    let password = if stdin.is_terminal() { read_unseen(&stdin)? } else { read_line(&mut stdin.lock())? };
    if password.is_empty() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "no password: give one on standard input"));
    }
    let too_long = || io::Error::new(io::ErrorKind::InvalidInput, RuleError::PasswordTooLong);
    writeln!(out, "#{}", PasswordHash::of(&password).ok_or_else(too_long)?)
}

fn read_line(input: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    input.read_until(b'\n', &mut line)?;
    let line = line.strip_suffix(b"\n").unwrap_or(&line);
    Ok(line.strip_suffix(b"\r").unwrap_or(line).to_vec())
}

fn read_unseen(stdin: &io::Stdin) -> io::Result<Vec<u8>> {
    io::stderr().write_all(b"Password: ")?;
    let shown = tcgetattr(stdin)?;
    let mut unseen = shown.clone();
    unseen.local_modes.remove(LocalModes::ECHO);
    tcsetattr(stdin, OptionalActions::Flush, &unseen)?;
    let line = read_line(&mut stdin.lock());
    tcsetattr(stdin, OptionalActions::Flush, &shown)?;
    io::stderr().write_all(b"\n")?;
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_line_is_no_part_of_a_password() {
        let read = |text: &str| read_line(&mut text.as_bytes()).expect("it is in memory");
        assert_eq!((read("pw\n"), read("pw\r\nx"), read(" p w")), (b"pw".to_vec(), b"pw".to_vec(), b" p w".to_vec()));
    }
}
