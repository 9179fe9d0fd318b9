//! A client with subscriptions: its messages and its replies apart, in both versions of the protocol.

use super::{Client, PATIENCE, Server, Value};
use std::collections::VecDeque;
use std::time::Instant;

/// What a subscription was told.
#[derive(Clone, Debug, PartialEq)]
pub enum Told {
    /// An event.
    Event(Event),
    /// It is caught up, up to this position.
    CaughtUp(u64),
    /// It has fallen behind, at this position.
    FellBehind(u64),
    /// It has looked at everything up to this position.
    Checkpoint(u64),
    /// From the first to the last of these positions events are lost.
    Gap(u64, u64),
    /// It has ended, for this reason and at this position.
    Dropped(String, u64),
}

/// An event as it was told.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Its position.
    pub position: u64,
    /// Its stream.
    pub stream: String,
    /// Its revision there.
    pub revision: u64,
    /// Its type.
    pub kind: String,
    /// Its data.
    pub data: Value,
    /// Its metadata.
    pub meta: Value,
    /// Stream and revision of the link to it, where it came by one.
    pub link: Option<(String, u64)>,
}

impl Told {
    /// The subscription's number and what it was told; none where a value is no message.
    pub fn parse(value: &Value) -> Option<(u64, Told)> {
        let (Value::Push(values) | Value::Array(values)) = value else { return None };
        let (Value::Bulk(name), rest) = values.split_first()? else { return None };
        let name = std::str::from_utf8(name).ok()?.strip_prefix("cdc.")?;
        let (id, rest) = rest.split_first()?;
        let told = match (name, rest) {
            ("event", [position, stream, revision, kind, time, data, meta, link @ ..]) => {
                assert!(time.integer() > 1_700_000_000_000, "{value:?}");
                let link = match link {
                    [] => None,
                    [stream, revision] => Some((stream.text(), revision.integer())),
                    _ => panic!("no such event: {value:?}"),
                };
                let (data, meta) = (data.clone(), meta.clone());
                let (position, revision) = (position.integer(), revision.integer());
                let (stream, kind) = (stream.text(), kind.text());
                Told::Event(Event { position, stream, revision, kind, data, meta, link })
            }
            ("caughtup", [position]) => Told::CaughtUp(position.integer()),
            ("fellbehind", [position]) => Told::FellBehind(position.integer()),
            ("checkpoint", [position]) => Told::Checkpoint(position.integer()),
            ("gap", [from, to]) => Told::Gap(from.integer(), to.integer()),
            ("dropped", [reason, position]) => Told::Dropped(reason.text(), position.integer()),
            _ => panic!("no such message: {value:?}"),
        };
        Some((id.integer(), told))
    }

    /// The event, where it is one.
    pub fn event(&self) -> Option<&Event> {
        match self {
            Told::Event(event) => Some(event),
            _ => None,
        }
    }
}

/// A connection that may subscribe.
pub struct Subscriber {
    client: Client,
    is_resp3: bool,
    messages: VecDeque<(u64, Told)>,
}

impl Subscriber {
    /// Connects and chooses a version of the protocol, 2 or 3.
    pub fn connect(server: &Server, version: u8) -> Subscriber {
        let mut client = server.client();
        if version == 3 {
            client.call(&["hello", "3"]);
        }
        Subscriber { client, is_resp3: version == 3, messages: VecDeque::new() }
    }

    /// The connection below it.
    pub fn client(&mut self) -> &mut Client {
        &mut self.client
    }

    /// Sends a command.
    pub fn send(&mut self, line: &str) {
        self.client.send(&line.split_whitespace().collect::<Vec<_>>());
    }

    /// Sends a command and reads its reply; messages that come before are kept.
    pub fn call(&mut self, line: &str) -> Value {
        self.send(line);
        self.reply()
    }

    /// Reads a reply; messages that come before are kept.
    pub fn reply(&mut self) -> Value {
        loop {
            let value = self.client.read();
            match self.message(&value) {
                Some(message) => self.messages.push_back(message),
                None => return value,
            }
        }
    }

    fn message(&self, value: &Value) -> Option<(u64, Told)> {
        let message = Told::parse(value);
        let is_push = matches!(value, Value::Push(_));
        assert!(is_push == (self.is_resp3 && message.is_some()), "{value:?}");
        message
    }

    /// The next message, with the number of its subscription.
    pub fn next(&mut self) -> (u64, Told) {
        if let Some(message) = self.messages.pop_front() {
            return message;
        }
        let value = self.client.read();
        self.message(&value).unwrap_or_else(|| panic!("a reply to nothing: {value:?}"))
    }

    /// Subscribes; answers the subscription's number.
    pub fn subscribe(&mut self, what: &str) -> u64 {
        self.call(&format!("CDC.SUBSCRIBE {what}")).integer()
    }

    /// What the connection's one subscription is told, up to something.
    pub fn until(&mut self, is_last: impl Fn(&Told) -> bool) -> Vec<Told> {
        let (mut told, end) = (Vec::new(), Instant::now() + PATIENCE);
        loop {
            let (_, message) = self.next();
            let is_over = is_last(&message);
            told.push(message);
            if is_over {
                return told;
            }
            assert!(Instant::now() < end, "it goes on and on: {:?}", &told[told.len() - 10..]);
        }
    }

    /// What it is told until it is caught up.
    pub fn until_caught_up(&mut self) -> Vec<Told> {
        self.until(|told| matches!(told, Told::CaughtUp(_)))
    }

    /// What it is told until the event at a position.
    pub fn until_position(&mut self, last: u64) -> Vec<Told> {
        self.until(|told| told.event().is_some_and(|event| event.position == last))
    }
}

/// The events among what was told.
pub fn events(told: &[Told]) -> Vec<&Event> {
    told.iter().filter_map(Told::event).collect()
}

/// What an event has in common, as it is told and as CDC.READ shows it: position, key, type in capitals, revision.
pub type Row = (u64, String, String, u64);

/// All events that a server has, as CDC.READ shows them with a filter.
pub fn history(server: &Server, filter: &str) -> Vec<Row> {
    let (mut client, mut rows, mut cursor) = (server.client(), Vec::new(), 0);
    loop {
        let line = format!("CDC.READ {cursor} COUNT 10000 {filter}");
        let page = client.call(&line.split_whitespace().collect::<Vec<_>>());
        let page = page.values();
        let events = page[9].values();
        rows.extend(events.iter().map(|row| {
            let row = row.values();
            (row[0].integer(), row[1].text(), row[2].text().to_ascii_uppercase(), row[5].integer())
        }));
        let next = page[1].integer();
        if next == cursor {
            return rows;
        }
        cursor = next;
    }
}

/// An event that was told. The key of a flush is empty.
pub fn row(event: &Event) -> Row {
    let key = if event.kind == "FlushDb" { String::new() } else { event.stream.clone() };
    (event.position, key, event.kind.to_ascii_uppercase(), event.revision)
}
