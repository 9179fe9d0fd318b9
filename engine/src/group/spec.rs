//! What a group is made of besides its names and the options of every group: which events it distributes, and how they are
//! given to consumers that are attached.

use super::codec::{Damaged, Input, put_bytes, put_number};
use super::error::GroupError;
use crate::filter::{Filter, FilterError, Pattern, Target};
use crate::interest::{Interest, Source};
use crate::position::Revision;

/// The default of [`PushOptions::ahead`].
pub const GROUP_AHEAD_DEFAULT: usize = 500;

/// The highest value of [`PushOptions::ahead`].
pub const GROUP_AHEAD_MAX: usize = 8_192;

/// The longest notes of a group, in bytes.
pub const GROUP_NOTES_BYTES_MAX: usize = 4 << 10;

/// Which attached consumer gets an event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dispatch {
    /// The next one that has room, in turn.
    #[default]
    RoundRobin,
    /// The first one that has room.
    First,
    /// The events of a stream go to the same one. A link counts for the stream of its event.
    PinnedByStream,
    /// Events with the same `$correlationId` in their metadata go to the same one; those without by their streams.
    PinnedByCorrelation,
}

impl Dispatch {
    const ALL: [Dispatch; 4] =
        [Dispatch::RoundRobin, Dispatch::First, Dispatch::PinnedByStream, Dispatch::PinnedByCorrelation];

    /// Whether some events have to go to the same consumer.
    pub fn is_pinned(self) -> bool {
        matches!(self, Dispatch::PinnedByStream | Dispatch::PinnedByCorrelation)
    }
}

/// How events are given to attached consumers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PushOptions {
    /// Which consumer gets an event.
    pub dispatch: Dispatch,
    /// The number of consumers that may be attached; 0 for no limit but [`GROUP_SEATS_MAX`](super::GROUP_SEATS_MAX).
    pub max_seats: u32,
    /// The number of events that are looked at ahead, where those before them have to wait for their consumers.
    pub ahead: usize,
}

impl Default for PushOptions {
    fn default() -> PushOptions {
        PushOptions { dispatch: Dispatch::RoundRobin, max_seats: 0, ahead: GROUP_AHEAD_DEFAULT }
    }
}

/// A filter as its maker has written it, to be compiled again after a start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterText {
    /// The name that is matched.
    pub on: Target,
    /// How.
    pub pattern: PatternText,
}

/// The pattern of a [`FilterText`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PatternText {
    /// Names that begin with one of these.
    Prefixes(Vec<Box<[u8]>>),
    /// Names that contain a match of this regex, which may have look-around.
    Regex(Box<[u8]>),
    /// Names that match this glob.
    Glob(Box<[u8]>),
}

impl FilterText {
    /// Compiles it.
    ///
    /// # Errors
    /// As [`Pattern::prefixes`], [`Pattern::regex_with_lookaround`] and [`Pattern::glob`].
    pub fn compile(&self) -> Result<Filter, FilterError> {
        let pattern = match &self.pattern {
            PatternText::Prefixes(prefixes) => Pattern::prefixes(prefixes.iter().map(|prefix| &**prefix)),
            PatternText::Regex(regex) => Pattern::regex_with_lookaround(regex),
            PatternText::Glob(glob) => Pattern::glob(glob),
        }?;
        Ok(Filter::new(self.on, pattern, false))
    }

    fn memory_bytes(&self) -> usize {
        match &self.pattern {
            PatternText::Prefixes(prefixes) => prefixes.iter().map(|prefix| prefix.len() + 16).sum(),
            PatternText::Regex(text) | PatternText::Glob(text) => text.len(),
        }
    }
}

/// The events of a group that are not selected by its key pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    /// The name of their source: see [`Source::of`].
    pub source: Box<[u8]>,
    /// Which of them; all where none.
    pub filter: Option<FilterText>,
    /// The first revision that the group wants of its stream. Counts until it has got an event.
    pub first_revision: Revision,
}

impl Selection {
    /// What it selects. Compiles the filter.
    ///
    /// # Errors
    /// As [`FilterText::compile`].
    pub fn interest(&self) -> Result<Interest, FilterError> {
        let filter = self.filter.as_ref().map(FilterText::compile).transpose()?.unwrap_or_default();
        Ok(Interest { source: Source::of(&self.source), filter })
    }
}

/// What a group is made of: see the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupSpec {
    /// Its events; by its key pattern where none.
    pub selection: Option<Selection>,
    /// How they are given to attached consumers.
    pub push: PushOptions,
    /// What its maker keeps with it. It means nothing here.
    pub notes: Box<[u8]>,
}

impl GroupSpec {
    /// Refuses what no group may be made of.
    ///
    /// # Errors
    /// The notes are too long.
    pub(super) fn check(&self) -> Result<(), GroupError> {
        match self.notes.len() {
            bytes if bytes > GROUP_NOTES_BYTES_MAX => Err(GroupError::NotesTooLong { bytes }),
            _ => Ok(()),
        }
    }

    /// Its memory on the heap, in bytes.
    pub(super) fn memory_bytes(&self) -> usize {
        let of_selection = |selection: &Selection| {
            selection.source.len() + selection.filter.as_ref().map_or(0, FilterText::memory_bytes)
        };
        self.notes.len() + self.selection.as_ref().map_or(0, of_selection)
    }

    /// Encodes it, as [`GroupSpec::read`] decodes it.
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        let place = Dispatch::ALL.iter().position(|dispatch| *dispatch == self.push.dispatch);
        put_number(out, place.unwrap_or(0) as u64);
        put_number(out, u64::from(self.push.max_seats));
        put_number(out, self.push.ahead as u64);
        put_bytes(out, &self.notes);
        let Some(Selection { source, filter, first_revision }) = &self.selection else { return out.push(0) };
        out.push(1);
        put_bytes(out, source);
        put_number(out, first_revision.0);
        let Some(FilterText { on, pattern }) = filter else { return out.push(0) };
        out.push(1 + u8::from(*on == Target::Type));
        match pattern {
            PatternText::Prefixes(prefixes) => {
                put_number(out, prefixes.len() as u64);
                prefixes.iter().for_each(|prefix| put_bytes(out, prefix));
            }
            PatternText::Regex(text) => {
                put_number(out, 0);
                out.push(0);
                put_bytes(out, text);
            }
            PatternText::Glob(text) => {
                put_number(out, 0);
                out.push(1);
                put_bytes(out, text);
            }
        }
    }

    pub(super) fn read(input: &mut Input<'_>) -> Result<GroupSpec, Damaged> {
        let dispatch = *usize::try_from(input.number()?).ok().and_then(|at| Dispatch::ALL.get(at)).ok_or(Damaged)?;
        let max_seats = u32::try_from(input.number()?).map_err(|_| Damaged)?;
        let ahead = usize::try_from(input.number()?).map_err(|_| Damaged)?;
        let notes = input.bytes()?.into();
        let selection = match input.byte()? {
            0 => None,
            1 => {
                let source = input.bytes()?.into();
                let first_revision = Revision(input.number()?);
                let filter = match input.byte()? {
                    0 => None,
                    1 => Some(FilterText { on: Target::Stream, pattern: PatternText::read(input)? }),
                    2 => Some(FilterText { on: Target::Type, pattern: PatternText::read(input)? }),
                    _ => return Err(Damaged),
                };
                Some(Selection { source, filter, first_revision })
            }
            _ => return Err(Damaged),
        };
        Ok(GroupSpec { selection, push: PushOptions { dispatch, max_seats, ahead }, notes })
    }
}

impl PatternText {
    fn read(input: &mut Input<'_>) -> Result<PatternText, Damaged> {
        match input.number()? {
            0 => match input.byte()? {
                0 => Ok(PatternText::Regex(input.bytes()?.into())),
                1 => Ok(PatternText::Glob(input.bytes()?.into())),
                _ => Err(Damaged),
            },
            // Each takes a byte at the least, so a false number ends with the input.
            count => {
                let prefixes: Result<Vec<_>, Damaged> = (0..count).map(|_| Ok(input.bytes()?.into())).collect();
                prefixes.map(PatternText::Prefixes)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(on: Target) -> Vec<FilterText> {
        [
            PatternText::Prefixes(vec![b"a".as_slice().into(), b"bc".as_slice().into()]),
            PatternText::Regex(b"^(?!(\\$.+$))".as_slice().into()),
            PatternText::Glob(b"\\*".as_slice().into()),
        ]
        .map(|pattern| FilterText { on, pattern })
        .into()
    }

    #[test]
    fn what_a_group_is_made_of_is_decoded_as_encoded_and_no_part_of_it_is() {
        let filters = texts(Target::Stream).into_iter().chain(texts(Target::Type)).map(Some).chain([None]);
        for filter in filters {
            let selection = Selection { source: b"$all".as_slice().into(), filter, first_revision: Revision(7) };
            for selection in [None, Some(selection)] {
                for dispatch in Dispatch::ALL {
                    let push = PushOptions { dispatch, max_seats: 9, ahead: 20 };
                    let spec = GroupSpec { selection: selection.clone(), push, notes: b"mine".as_slice().into() };
                    let mut bytes = Vec::new();
                    spec.put(&mut bytes);
                    let mut input = Input(&bytes);
                    assert_eq!(GroupSpec::read(&mut input), Ok(spec));
                    assert!(input.is_empty());
                    (0..bytes.len()).for_each(|at| assert_eq!(GroupSpec::read(&mut Input(&bytes[..at])), Err(Damaged)));
                }
            }
        }
    }

    #[test]
    fn notes_are_bounded() {
        let spec = |bytes| GroupSpec { notes: vec![0; bytes].into(), ..GroupSpec::default() };
        assert_eq!(spec(GROUP_NOTES_BYTES_MAX).check(), Ok(()));
        let bytes = GROUP_NOTES_BYTES_MAX + 1;
        assert_eq!(spec(bytes).check(), Err(GroupError::NotesTooLong { bytes }));
    }
}
