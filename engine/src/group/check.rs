//! Checks the changes of a frame before the first of them is applied, so that either all are applied or none.

use super::Group;
use super::by_keys;
use super::codec::{Damaged, Input};
use super::decode::{Change, GroupChange, Whole};
use super::spec::GroupSpec;
use super::table::GroupTable;
use crate::interest::Interest;
use std::collections::{BTreeMap, HashMap};

/// A change that can be applied, whatever the table has.
pub(super) enum Checked<'a> {
    /// A group without anything, and what it gets.
    Group(Box<(Group, Whole<'a>)>),
    /// The group of a number was destroyed.
    Destroyed(u64),
    /// What the group of a number, which exists, is made of, and which events it has.
    Spec(u64, Box<(GroupSpec, Interest)>),
    /// A change of the group of a number, which exists.
    OfGroup(u64, GroupChange<'a>),
}

impl GroupTable {
    /// The changes of a frame, if all of them can be applied.
    ///
    /// # Errors
    /// Bytes that are not changes, or changes of a group that does not exist at that point of the frame.
    pub(super) fn check<'a>(&self, changes: &'a [u8]) -> Result<Vec<Checked<'a>>, Damaged> {
        let mut names = Names { table: self, names: BTreeMap::new(), numbers: HashMap::new() };
        let (mut input, mut selected, mut checked) = (Input(changes), None, Vec::new());
        while !input.is_empty() {
            match Change::read(&mut input)? {
                Change::Group(whole) => {
                    let group = Group::empty(whole.key_pattern, whole.options).map_err(|_| Damaged)?;
                    names.put(whole.number, (whole.key_pattern, whole.name));
                    checked.push(Checked::Group(Box::new((group, whole))));
                }
                Change::Destroyed(number) => {
                    names.remove(number);
                    checked.push(Checked::Destroyed(number));
                }
                Change::Select(number) => selected = Some(number),
                Change::OfGroup(change) => {
                    // It may have been selected before it was destroyed or replaced, also by this frame.
                    let number = selected.filter(|number| names.of(*number).is_some()).ok_or(Damaged)?;
                    checked.push(match change {
                        GroupChange::Spec(spec) => {
                            let interest = interest_of(names.of(number), &spec)?;
                            Checked::Spec(number, Box::new((*spec, interest)))
                        }
                        change => Checked::OfGroup(number, change),
                    });
                }
            }
        }
        Ok(checked)
    }
}

/// The events of a group that is made so.
fn interest_of(names: Option<NamePair<'_>>, spec: &GroupSpec) -> Result<Interest, Damaged> {
    match &spec.selection {
        Some(selection) => selection.interest().map_err(|_| Damaged),
        None => by_keys(names.ok_or(Damaged)?.0).map_err(|_| Damaged),
    }
}

/// Key pattern and name of a group.
type NamePair<'n> = (&'n [u8], &'n [u8]);

/// The numbers and names of the groups that a table has after the changes that were checked so far.
struct Names<'n> {
    table: &'n GroupTable,
    /// The names of the numbers that the changes concern, and the numbers of such names; none where the group is gone.
    names: BTreeMap<u64, Option<NamePair<'n>>>,
    numbers: HashMap<NamePair<'n>, Option<u64>>,
}

impl<'n> Names<'n> {
    fn of(&self, number: u64) -> Option<NamePair<'n>> {
        let named = || self.table.groups.get(&number).map(|named| (&*named.key_pattern, &*named.name));
        self.names.get(&number).copied().unwrap_or_else(named)
    }

    /// As [`GroupTable::put`].
    fn put(&mut self, number: u64, names: NamePair<'n>) {
        self.remove(number);
        let before = self.numbers.get(&names).copied().unwrap_or_else(|| self.table.number(names.0, names.1));
        before.into_iter().for_each(|before| self.remove(before));
        self.names.insert(number, Some(names));
        self.numbers.insert(names, Some(number));
    }

    /// As [`GroupTable::remove_numbered`].
    fn remove(&mut self, number: u64) {
        if let Some(names) = self.of(number) {
            self.names.insert(number, None);
            self.numbers.insert(names, None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::changes::Tag;
    use super::super::codec::{put_bytes, put_number};
    use super::*;
    use proptest::prelude::*;

    /// A change of a group, or of the table.
    #[derive(Clone, Debug)]
    enum Step {
        Group { number: u8, name: u8 },
        Destroyed(u8),
        Select(u8),
        OfGroup(Vec<u8>),
    }

    impl Step {
        fn bytes(&self) -> Vec<u8> {
            match self {
                Step::Group { number, name } => {
                    [&[Tag::Group as u8, *number, 1, b'*', 1, *name][..], &[0; 13]].concat()
                }
                Step::Destroyed(number) => vec![Tag::Destroyed as u8, *number],
                Step::Select(number) => vec![Tag::Select as u8, *number],
                Step::OfGroup(change) => change.clone(),
            }
        }
    }

    /// Every kind of change of a group, of a few positions and consumers.
    fn of_group() -> impl Strategy<Value = Vec<u8>> {
        let of = |tag: Tag, numbers: &[u64]| {
            let mut bytes = vec![tag as u8];
            numbers.iter().for_each(|number| put_number(&mut bytes, *number));
            bytes
        };
        let runs = [Tag::Acknowledged, Tag::Parked, Tag::Replayed, Tag::Released, Tag::Lost];
        prop_oneof![
            (1..99_u64).prop_map(move |cursor| of(Tag::Cursor, &[cursor])),
            (0..3_u64, b'a'..b'd').prop_map(move |(id, name)| {
                let mut bytes = of(Tag::Consumer, &[id]);
                put_bytes(&mut bytes, &[name]);
                put_number(&mut bytes, 7);
                bytes
            }),
            (0..3_u64).prop_map(move |id| of(Tag::ConsumerRemoved, &[id])),
            (0..3_u64).prop_map(move |id| of(Tag::Attached, &[id])),
            (0..3_u64, 0..9_u64).prop_map(move |(dispatch, seats)| of(Tag::Spec, &[dispatch, seats, 7, 0, 0])),
            (1..9_u64).prop_map(move |position| of(Tag::Waiting, &[position, 0])),
            (b'a'..b'd').prop_map(move |name| {
                let mut bytes = of(Tag::Creator, &[]);
                put_bytes(&mut bytes, &[name]);
                bytes
            }),
            (0..3_u64, 1..9_u64, 1..9_u64)
                .prop_map(move |(id, one, other)| of(Tag::Delivered, &[id, 9, one, other, 0])),
            (0..3_u64, 1..9_u64).prop_map(move |(id, one)| of(Tag::Redelivered, &[id, 11, one, 0])),
            (0..runs.len(), 1..9_u64).prop_map(move |(run, one)| of(runs[run], &[one, 0])),
        ]
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            2 => (0..4_u8, b'a'..b'e').prop_map(|(number, name)| Step::Group { number, name }),
            1 => (0..4_u8).prop_map(Step::Destroyed),
            3 => (0..4_u8).prop_map(Step::Select),
            6 => of_group().prop_map(Step::OfGroup),
        ]
    }

    fn state(table: &GroupTable) -> Vec<u8> {
        let mut out = Vec::new();
        table.write_state(&mut out);
        out
    }

    fn copy(table: &GroupTable) -> GroupTable {
        let mut copy = GroupTable::default();
        let written = state(table);
        assert_eq!(copy.replay(&written, None).bytes, written.len());
        copy
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]
        #[test]
        fn a_frame_does_what_its_changes_do_one_by_one_or_nothing(
            frames in proptest::collection::vec(proptest::collection::vec(step(), 1..9), 1..7),
        ) {
            let mut table = GroupTable::default();
            for steps in &frames {
                let mut one_by_one = copy(&table);
                let mut selected = Vec::new();
                let results = steps.iter().map(|step| match step {
                    Step::Select(_) => {
                        selected = step.bytes();
                        Ok(())
                    }
                    Step::OfGroup(change) => one_by_one.apply(&[&selected[..], change].concat()),
                    Step::Group { .. } | Step::Destroyed(_) => one_by_one.apply(&step.bytes()),
                });
                let expected: Result<(), Damaged> = results.collect();
                let before = state(&table);
                let applied = table.apply(&steps.iter().flat_map(Step::bytes).collect::<Vec<u8>>());
                prop_assert_eq!(applied, expected);
                let wanted = if expected.is_ok() { state(&one_by_one) } else { before };
                prop_assert_eq!(state(&table).escape_ascii().to_string(), wanted.escape_ascii().to_string());
            }
        }
    }

    #[test]
    fn changes_of_a_group_that_the_frame_has_destroyed_or_replaced_are_refused() {
        let of_group = Step::OfGroup(vec![Tag::Cursor as u8, 9]);
        let group = |number, name| Step::Group { number, name };
        let mut table = GroupTable::default();
        [group(0, b'a'), group(1, b'b')].iter().for_each(|step| table.apply(&step.bytes()).unwrap());
        let before = state(&table);
        let refused = [
            vec![Step::Destroyed(1), Step::Select(0), of_group.clone(), Step::Destroyed(0), of_group.clone()],
            vec![Step::Select(0), of_group.clone(), group(2, b'a'), of_group.clone()],
            vec![group(2, b'c'), Step::Select(2), group(3, b'c'), of_group.clone()],
        ];
        for steps in refused {
            let changes: Vec<u8> = steps.iter().flat_map(Step::bytes).collect();
            assert_eq!(table.apply(&changes), Err(Damaged), "{steps:?}");
            assert_eq!(state(&table), before, "{steps:?}");
        }
        // A group that has got another name does not lose its number when its earlier name is used again.
        let renamed = [group(0, b'c'), group(2, b'a'), Step::Select(0), of_group.clone(), Step::Select(2), of_group];
        assert_eq!(table.apply(&renamed.iter().flat_map(Step::bytes).collect::<Vec<u8>>()), Ok(()));
        let names: Vec<_> = table.iter().map(|(_, name, group)| (name[0], group.info().cursor.0)).collect();
        assert_eq!(names, [(b'a', 9), (b'b', 0), (b'c', 9)]);
    }
}
