//! Checks the changes of a frame before the first of them is applied, so that either all are applied or none.

use super::changes::Tag;
use super::codec::{Damaged, Input};
use super::table::GroupTable;
use crate::filter::Pattern;
use std::collections::{BTreeMap, HashMap};

/// The groups of a table after the changes that were checked so far.
struct Checking<'c> {
    table: &'c GroupTable,
    /// Whether the group of a number exists, for those that the changes create or remove.
    known: BTreeMap<u64, bool>,
    /// The numbers of the groups that the changes create, by key pattern and name.
    made: HashMap<(&'c [u8], &'c [u8]), u64>,
}

impl GroupTable {
    /// Checks that all changes of a frame can be applied.
    ///
    /// # Errors
    /// Bytes that are not changes, or changes of a group that does not exist.
    pub(super) fn check(&self, changes: &[u8]) -> Result<(), Damaged> {
        let mut checking = Checking { table: self, known: BTreeMap::new(), made: HashMap::new() };
        let mut input = Input(changes);
        let mut is_there = false;
        while !input.is_empty() {
            match Tag::of(input.byte()?).ok_or(Damaged)? {
                Tag::Group => checking.group(&mut input)?,
                Tag::Destroyed => drop(checking.known.insert(input.number()?, false)),
                Tag::Select => {
                    let number = input.number()?;
                    let known = checking.known.get(&number).copied();
                    is_there = known.unwrap_or_else(|| self.groups.contains_key(&number));
                }
                tag if is_there => change(tag, &mut input)?,
                _ => return Err(Damaged),
            }
        }
        Ok(())
    }
}

impl<'c> Checking<'c> {
    /// A complete group, as `apply_group` in `restore` reads it.
    fn group(&mut self, input: &mut Input<'c>) -> Result<(), Damaged> {
        let (number, key_pattern, name) = (input.count()?, input.bytes()?, input.bytes()?);
        Pattern::keys(key_pattern).map_err(|_| Damaged)?;
        let _idle_ms = input.number()?;
        u32::try_from(input.number()?).map_err(|_| Damaged)?;
        usize::try_from(input.number()?).map_err(|_| Damaged)?;
        let _cursor = input.number()?;
        // The counts, and the number of the next consumer.
        for _ in 0..6 {
            input.count()?;
        }
        for _ in 0..input.number()? {
            change(Tag::Consumer, input)?;
        }
        for _of in ["pending", "parked"] {
            for _ in 0..input.number()? {
                let (_position, _consumer) = (input.number()?, input.number()?);
                u32::try_from(input.number()?).map_err(|_| Damaged)?;
                let _delivered = input.number()?;
            }
        }
        // The group replaces an earlier one of the same name.
        let before = self.made.insert((key_pattern, name), number).or_else(|| self.table.number(key_pattern, name));
        self.known.extend(before.map(|before| (before, false)));
        self.known.insert(number, true);
        Ok(())
    }
}

/// A change of one group, as `Group::apply` in `restore` reads it.
fn change(tag: Tag, input: &mut Input<'_>) -> Result<(), Damaged> {
    match tag {
        Tag::Group | Tag::Destroyed | Tag::Select => return Err(Damaged),
        Tag::Cursor | Tag::ConsumerRemoved => return input.number().map(drop),
        Tag::Consumer => {
            let (_id, _name, _seen_ms) = (input.count()?, input.bytes()?, input.number()?);
            return Ok(());
        }
        Tag::Delivered | Tag::Redelivered => {
            let (_consumer, _at_ms) = (input.count()?, input.number()?);
        }
        Tag::Acknowledged | Tag::Parked | Tag::Replayed | Tag::Released | Tag::Lost => {}
    }
    while input.number()? != 0 {}
    Ok(())
}
