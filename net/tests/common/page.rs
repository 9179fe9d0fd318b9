//! A page of the documentation as a test reads it: its blocks of code, the commands in them and what they should
//! answer.

use std::collections::HashMap;

/// A block of code.
pub struct Block {
    /// The section that it is in.
    pub heading: &'static str,
    /// What the page calls its language; empty where it says nothing.
    pub language: &'static str,
    /// Its lines.
    pub lines: Vec<&'static str>,
}

/// One command with what it should answer.
pub struct Example {
    /// The command.
    pub command: &'static str,
    /// The lines of the answer.
    pub expected: Vec<&'static str>,
}

/// The blocks of a page, in order.
pub fn blocks(page: &'static str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let (mut heading, mut is_open) = ("", false);
    for line in page.lines() {
        match line.strip_prefix("```") {
            Some(_) if is_open => is_open = false,
            Some(language) => {
                is_open = true;
                blocks.push(Block { heading, language, lines: Vec::new() });
            }
            None if is_open => blocks.last_mut().expect("a block is open").lines.push(line),
            None => heading = line.strip_prefix("## ").unwrap_or(heading),
        }
    }
    blocks
}

impl Block {
    /// The commands in it, each a line behind `> `.
    pub fn examples(&self) -> Vec<Example> {
        let mut examples: Vec<Example> = Vec::new();
        for line in &self.lines {
            match (line.strip_prefix("> "), examples.last_mut()) {
                (Some(command), _) => examples.push(Example { command, expected: Vec::new() }),
                (None, Some(example)) => example.expected.push(line),
                (None, None) => {}
            }
        }
        examples
    }

    /// Its text.
    pub fn text(&self) -> String {
        self.lines.join("\n")
    }
}

/// The names that a page uses for numbers, with what they stand for in this run.
#[derive(Default)]
pub struct Names(HashMap<String, String>);

impl Names {
    /// A command with the numbers in place of the names.
    pub fn fill(&self, command: &str) -> String {
        self.0.iter().fold(command.to_owned(), |filled, (name, value)| filled.replace(&format!("<{name}>"), value))
    }

    /// Whether a line is the expected one; names that are new get their numbers from it.
    pub fn accepts(&mut self, expected: &str, line: &str) -> bool {
        let Some((before, rest)) = expected.split_once('<') else { return expected == line };
        let Some((name, after)) = rest.split_once('>') else { return expected == line };
        let Some(line) = line.strip_prefix(before) else { return false };
        let end = match after.chars().next() {
            None => line.len(),
            Some(next) => line.find(next).unwrap_or(line.len()),
        };
        let (value, tail) = line.split_at(end);
        let is_so =
            name == "*" || !value.is_empty() && self.0.entry(name.to_owned()).or_insert(value.to_owned()) == value;
        is_so && self.accepts(after, tail)
    }

    /// Whether all lines are the expected ones.
    pub fn accept_all(&mut self, expected: &[&str], lines: &[&str]) -> bool {
        expected.len() == lines.len() && expected.iter().zip(lines).all(|(expected, line)| self.accepts(expected, line))
    }
}
