//! Events for several streams, as they come: each a record with a schema, which becomes its type and its form, and with
//! properties, which become its custom metadata, as JSON.

use super::super::proto::streams_v2::value::Kind;
use super::super::proto::streams_v2::{AppendRecord, SchemaInfo, Value};
use super::error::{bad_request, record_too_large, transaction_too_large};
use crate::grpc::Status;
use crate::limits::{
    APPEND_BYTES_MAX, APPEND_EVENT_BYTES_MAX, APPEND_EVENTS_MAX, APPEND_STREAMS_MAX, PROPERTY_LEVELS_MAX,
};
use crate::streams::Event;
use bytes::Bytes;
use keytide_engine::position::Revision;
use keytide_engine::shard::Expected;
use keytide_engine::shards::Wanted;
use serde_json::{Map, Number};
use std::collections::HashMap;

/// The property with the name of the schema, and the one with its form.
const SCHEMA_NAME: &str = "$schema.name";
const SCHEMA_FORMAT: &str = "$schema.format";
const SCHEMA_ID: &str = "$schema.id";

/// The forms of data, by their numbers; 0 is none.
const FORMATS: [&str; 5] = ["", "Json", "Protobuf", "Avro", "Bytes"];

/// Streams and the events for them.
#[derive(Default)]
pub struct Records {
    /// The streams, each with what the client wants it to be.
    pub streams: Vec<(Bytes, Wanted)>,
    /// The events, each with the place of its stream.
    pub events: Vec<(usize, Event)>,
    places: HashMap<Bytes, usize>,
    bytes: usize,
}

impl Records {
    /// The place of a stream, and whether it is new here.
    ///
    /// # Errors
    /// There are too many, or it has no name.
    pub fn place_of(&mut self, kind: &str, stream: &str) -> Result<(usize, bool), Status> {
        if let Some(place) = self.places.get(stream.as_bytes()) {
            return Ok((*place, false));
        }
        if stream.is_empty() || stream == "$$" {
            return Err(bad_request(kind, "Stream name cannot be empty."));
        }
        self.count(stream.len() + 2 * size_of::<Bytes>())?;
        if self.streams.len() >= APPEND_STREAMS_MAX {
            return Err(bad_request(kind, &format!("It has more than {APPEND_STREAMS_MAX} streams.")));
        }
        let (place, name) = (self.streams.len(), Bytes::copy_from_slice(stream.as_bytes()));
        self.streams.push((name.clone(), Wanted::State(Expected::Any)));
        self.places.insert(name, place);
        Ok((place, true))
    }

    /// Adds an event for a stream.
    ///
    /// # Errors
    /// It lacks something, or is too large, or all of them together are.
    pub fn add(&mut self, place: usize, stream: &str, record: AppendRecord) -> Result<(), Status> {
        let bad = |what: &str| bad_request("AppendRecord", what);
        let schema = record.schema.unwrap_or_default();
        let format = usize::try_from(schema.format).ok().filter(|format| (1..FORMATS.len()).contains(format));
        let format = format.ok_or_else(|| bad("Schema format must be one of the known formats."))?;
        let is_letter = |letter: char| letter.is_alphanumeric() || "_.$:-".contains(letter);
        if schema.name.is_empty() || !schema.name.chars().all(is_letter) {
            return Err(bad("Schema name must have letters, digits and any of _ . $ : - only, and one at least."));
        }
        let id = match &record.record_id {
            Some(text) => uuid::Uuid::try_parse(text).map_err(|_| bad("Record ID must be a valid UUID."))?.into_bytes(),
            None => uuid::Builder::from_random_bytes(fastrand::u128(..).to_be_bytes()).into_uuid().into_bytes(),
        };
        if id == [0; 16] {
            return Err(bad("Record ID must be a valid UUID."));
        }
        let meta =
            metadata(record.properties, &schema, format).ok_or_else(|| bad("Properties are nested too deeply."))?;
        let bytes = record.data.len() + meta.len() + schema.name.len();
        if bytes > APPEND_EVENT_BYTES_MAX {
            let id = uuid::Uuid::from_bytes(id).hyphenated().to_string();
            return Err(record_too_large(stream, &id, bytes));
        }
        self.count(bytes + size_of::<(usize, Event)>())?;
        if self.events.len() >= APPEND_EVENTS_MAX {
            return Err(transaction_too_large(self.events.len() + 1, self.bytes.max(APPEND_BYTES_MAX)));
        }
        let event = Event {
            id,
            event_type: Bytes::from(schema.name),
            data: record.data,
            meta: Some(Bytes::from(meta)),
            is_json: format == 1,
        };
        self.events.push((place, event));
        Ok(())
    }

    fn count(&mut self, bytes: usize) -> Result<(), Status> {
        self.bytes += bytes;
        if self.bytes > APPEND_BYTES_MAX {
            return Err(transaction_too_large(self.events.len() + 1, self.bytes));
        }
        Ok(())
    }

    /// The bytes of it.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

/// What a number says that a stream is to be.
///
/// # Errors
/// It says nothing.
pub fn wanted(kind: &str, number: i64) -> Result<Wanted, Status> {
    Ok(match number {
        0.. => Wanted::State(Expected::At(Revision(number as u64))),
        -1 => Wanted::State(Expected::NoStream),
        -2 => Wanted::State(Expected::Any),
        -4 => Wanted::State(Expected::Exists),
        -5 => Wanted::Deleted,
        -6 => Wanted::Ended,
        _ => return Err(bad_request(kind, &format!("{number} is no state that a stream can have."))),
    })
}

/// The custom metadata of an event; none where properties have too many levels.
fn metadata(properties: HashMap<String, Value>, schema: &SchemaInfo, format: usize) -> Option<Vec<u8>> {
    let mut fields = Map::new();
    for (name, value) in properties {
        fields.insert(name, json(value, PROPERTY_LEVELS_MAX)?);
    }
    fields.insert(SCHEMA_NAME.to_owned(), schema.name.clone().into());
    fields.insert(SCHEMA_FORMAT.to_owned(), FORMATS[format].into());
    if let Some(id) = &schema.id {
        fields.insert(SCHEMA_ID.to_owned(), id.clone().into());
    }
    Some(serde_json::Value::Object(fields).to_string().into_bytes())
}

fn json(value: Value, levels: usize) -> Option<serde_json::Value> {
    let below = levels.checked_sub(1)?;
    Some(match value.kind {
        None | Some(Kind::NullValue(_)) => serde_json::Value::Null,
        // A whole number is written as one.
        Some(Kind::NumberValue(number)) if number.fract() == 0.0 && number.abs() < (1u64 << 53) as f64 => {
            (number as i64).into()
        }
        // What is no number in JSON is null there.
        Some(Kind::NumberValue(number)) => {
            Number::from_f64(number).map_or(serde_json::Value::Null, serde_json::Value::Number)
        }
        Some(Kind::StringValue(text)) => text.into(),
        Some(Kind::BoolValue(is)) => is.into(),
        Some(Kind::StructValue(all)) => {
            let fields = all.fields.into_iter().map(|(name, value)| Some((name, json(value, below)?)));
            serde_json::Value::Object(fields.collect::<Option<_>>()?)
        }
        Some(Kind::ListValue(all)) => {
            serde_json::Value::Array(all.values.into_iter().map(|value| json(value, below)).collect::<Option<_>>()?)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::super::super::proto::streams_v2::{ListValue, Struct};
    use super::*;

    fn value(kind: Kind) -> Value {
        Value { kind: Some(kind) }
    }

    #[test]
    fn properties_become_json_with_the_schema_beside_them() {
        let list =
            ListValue { values: vec![value(Kind::BoolValue(true)), value(Kind::NullValue(0)), Value::default()] };
        let inner = Struct { fields: HashMap::from([("n".to_owned(), value(Kind::NumberValue(0.5)))]) };
        let properties = HashMap::from([
            ("a".to_owned(), value(Kind::StringValue("x".into()))),
            ("b".to_owned(), value(Kind::NumberValue(-7.0))),
            ("c".to_owned(), value(Kind::ListValue(list))),
            ("d".to_owned(), value(Kind::StructValue(inner))),
        ]);
        let schema = SchemaInfo { format: 1, name: "T".into(), id: None };
        let json = metadata(properties, &schema, 1).expect("few levels");
        let expected =
            r#"{"$schema.format":"Json","$schema.name":"T","a":"x","b":-7,"c":[true,null,null],"d":{"n":0.5}}"#;
        assert_eq!(String::from_utf8(json).expect("text"), expected);
    }

    #[test]
    fn properties_that_are_nested_too_deeply_are_refused() {
        let nested = |levels| {
            (0..levels).fold(Value::default(), |inner, _| value(Kind::ListValue(ListValue { values: vec![inner] })))
        };
        assert!(json(nested(PROPERTY_LEVELS_MAX - 1), PROPERTY_LEVELS_MAX).is_some());
        assert!(json(nested(PROPERTY_LEVELS_MAX), PROPERTY_LEVELS_MAX).is_none());
    }
}
