//! The changes of a frame, decoded. A change is read to its end before it is handed out: so to apply it cannot fail. Nothing
//! else reads the bytes of changes, so what is checked and what is applied are the same.

use super::changes::{Fate, Tag};
use super::codec::{Damaged, Input, at_distance};
use super::consumer::ConsumerId;
use super::pending::Entry;
use super::spec::GroupSpec;
use super::{GroupCounts, GroupOptions};
use crate::position::Position;

/// A change.
pub(super) enum Change<'a> {
    /// The complete state of a group.
    Group(Whole<'a>),
    /// The group of a number was destroyed.
    Destroyed(u64),
    /// The following changes are of the group of this number.
    Select(u64),
    /// A change of the selected group.
    OfGroup(GroupChange<'a>),
}

/// The complete state of a group, as `put_group` in `journal` writes it.
pub(super) struct Whole<'a> {
    pub(super) number: u64,
    pub(super) key_pattern: &'a [u8],
    pub(super) name: &'a [u8],
    pub(super) options: GroupOptions,
    pub(super) cursor: Position,
    pub(super) counts: GroupCounts,
    /// The number of the next new consumer.
    pub(super) next_consumer: u64,
    pub(super) consumers: List<'a, ConsumerRows>,
    pub(super) pending: List<'a, EntryRows>,
    pub(super) parked: List<'a, EntryRows>,
}

/// A change of one group.
pub(super) enum GroupChange<'a> {
    /// The cursor has moved.
    Cursor(Position),
    /// A consumer was added.
    Consumer(NewConsumer<'a>),
    /// A consumer was removed, and its entries were released.
    ConsumerRemoved(ConsumerId),
    /// A consumer is attached.
    Attached(ConsumerId),
    /// What the group is made of.
    Spec(Box<GroupSpec>),
    /// The name of the user who created the group.
    Creator(&'a [u8]),
    /// The same happened to the entries at these positions.
    Run(Fate, List<'a, Run>),
}

/// A consumer, and the time at which it was last seen, Unix milliseconds.
pub(super) struct NewConsumer<'a> {
    pub(super) id: ConsumerId,
    pub(super) name: &'a [u8],
    pub(super) seen_ms: u64,
}

impl<'a> Change<'a> {
    /// The next change of `input`.
    pub(super) fn read(input: &mut Input<'a>) -> Result<Change<'a>, Damaged> {
        let fate = match Tag::of(input.byte()?).ok_or(Damaged)? {
            Tag::Group => return whole(input).map(Change::Group),
            Tag::Destroyed => return input.number().map(Change::Destroyed),
            Tag::Select => return input.number().map(Change::Select),
            Tag::Cursor => return Ok(Change::OfGroup(GroupChange::Cursor(input.position()?))),
            Tag::Consumer => return Ok(Change::OfGroup(GroupChange::Consumer(consumer(input)?))),
            Tag::ConsumerRemoved => {
                return Ok(Change::OfGroup(GroupChange::ConsumerRemoved(ConsumerId(input.number()?))));
            }
            Tag::Delivered => Fate::Delivered(ConsumerId(input.id()?), input.number()?),
            Tag::Redelivered => Fate::Redelivered(ConsumerId(input.id()?), input.number()?),
            Tag::Acknowledged => Fate::Acknowledged,
            Tag::Parked => Fate::Parked,
            Tag::Replayed => Fate::Replayed,
            Tag::Attached => return Ok(Change::OfGroup(GroupChange::Attached(ConsumerId(input.id()?)))),
            Tag::Spec => return Ok(Change::OfGroup(GroupChange::Spec(Box::new(GroupSpec::read(input)?)))),
            Tag::Creator => return Ok(Change::OfGroup(GroupChange::Creator(input.bytes()?))),
            Tag::Waiting => Fate::Waiting,
            Tag::Released => Fate::Released,
            Tag::Lost => Fate::Lost,
        };
        Ok(Change::OfGroup(GroupChange::Run(fate, List::read(input, Run { last: 0 })?)))
    }
}

fn whole<'a>(input: &mut Input<'a>) -> Result<Whole<'a>, Damaged> {
    let (number, key_pattern, name) = (input.id()?, input.bytes()?, input.bytes()?);
    let options = GroupOptions {
        idle_ms: input.number()?,
        max_deliveries: u32::try_from(input.number()?).map_err(|_| Damaged)?,
        max_pending: usize::try_from(input.number()?).map_err(|_| Damaged)?,
    };
    let cursor = input.position()?;
    let counts = GroupCounts {
        delivered: input.count()?,
        redelivered: input.count()?,
        acknowledged: input.count()?,
        lost: input.count()?,
        parked: input.count()?,
    };
    let next_consumer = input.count()?;
    let consumers = ConsumerRows { left: input.number()? };
    let consumers = List::read(input, consumers)?;
    let mut entries = || {
        let rows = EntryRows { left: input.number()?, last: 0, last_ms: 0 };
        List::read(input, rows)
    };
    let (pending, parked) = (entries()?, entries()?);
    Ok(Whole { number, key_pattern, name, options, cursor, counts, next_consumer, consumers, pending, parked })
}

fn consumer<'a>(input: &mut Input<'a>) -> Result<NewConsumer<'a>, Damaged> {
    Ok(NewConsumer { id: ConsumerId(input.id()?), name: input.bytes()?, seen_ms: input.number()? })
}

/// How the rows of a list are encoded.
pub(super) trait Rows<'a>: Clone {
    type Row;

    /// The next row; none at the end of the list.
    fn next(&mut self, input: &mut Input<'a>) -> Result<Option<Self::Row>, Damaged>;
}

/// A list whose rows are all valid.
pub(super) struct List<'a, R> {
    input: Input<'a>,
    rows: R,
}

impl<'a, R: Rows<'a>> List<'a, R> {
    fn read(input: &mut Input<'a>, rows: R) -> Result<List<'a, R>, Damaged> {
        let list = List { input: Input(input.0), rows: rows.clone() };
        let mut rows = rows;
        while rows.next(input)?.is_some() {}
        Ok(list)
    }
}

impl<'a, R: Rows<'a>> Iterator for List<'a, R> {
    type Item = R::Row;

    fn next(&mut self) -> Option<R::Row> {
        // `read` has decoded the same bytes before.
        self.rows.next(&mut self.input).ok().flatten()
    }
}

/// Consumers, behind their number.
#[derive(Clone)]
pub(super) struct ConsumerRows {
    left: u64,
}

impl<'a> Rows<'a> for ConsumerRows {
    type Row = NewConsumer<'a>;

    fn next(&mut self, input: &mut Input<'a>) -> Result<Option<NewConsumer<'a>>, Damaged> {
        let Some(left) = self.left.checked_sub(1) else { return Ok(None) };
        self.left = left;
        consumer(input).map(Some)
    }
}

/// Entries as `put_entries` in `journal` writes them, behind their number.
#[derive(Clone)]
pub(super) struct EntryRows {
    left: u64,
    last: u64,
    last_ms: u64,
}

impl<'a> Rows<'a> for EntryRows {
    type Row = (Position, Entry);

    fn next(&mut self, input: &mut Input<'a>) -> Result<Option<(Position, Entry)>, Damaged> {
        let Some(left) = self.left.checked_sub(1) else { return Ok(None) };
        self.left = left;
        self.last = self.last.wrapping_add(input.number()?);
        let consumer = input.number()?.checked_sub(1).map(ConsumerId);
        let deliveries = u32::try_from(input.number()?).map_err(|_| Damaged)?;
        self.last_ms = at_distance(self.last_ms, input.number()?);
        let entry = Entry { place: None, consumer, deliveries, delivered_ms: self.last_ms, pin: None };
        Ok(Some((Position(self.last), entry)))
    }
}

/// The positions of a run: see `changes`.
#[derive(Clone)]
pub(super) struct Run {
    last: u64,
}

impl<'a> Rows<'a> for Run {
    type Row = Position;

    fn next(&mut self, input: &mut Input<'a>) -> Result<Option<Position>, Damaged> {
        let Some(distance) = input.number()?.checked_sub(1) else { return Ok(None) };
        self.last = at_distance(self.last, distance);
        Ok(Some(Position(self.last)))
    }
}
