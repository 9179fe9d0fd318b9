//! Operations on sets.

use super::{Draw, Shard};
use crate::collection::{Member, SetRef};
use crate::error::Refusal;
use crate::keyspace::{Bytes, Entry, ValueRef};
use crate::ring::record_bytes;

impl<'a> Entry<'a> {
    /// The set, `None` if the key does not exist; refused if it holds another type.
    #[inline]
    pub fn members(self) -> Result<Option<SetRef<'a>>, Refusal> {
        match self.value() {
            None => Ok(None),
            Some(ValueRef::Set(set)) => Ok(Some(set)),
            Some(_) => Err(Refusal::WrongType),
        }
    }
}

impl Shard {
    /// The set at a key.
    #[inline]
    pub fn members(&mut self, key: &[u8]) -> Result<Option<SetRef<'_>>, Refusal> {
        self.read(key).map_or(Ok(None), Entry::members)
    }

    /// The set at a key, for a caller that has checked its type and must not change anything now.
    pub(crate) fn peek_members(&self, key: &[u8]) -> Option<SetRef<'_>> {
        self.peek(key)?.members().ok().flatten()
    }

    /// The entry of an existing key, for a caller that must not change anything now.
    pub(crate) fn peek(&self, key: &[u8]) -> Option<Entry<'_>> {
        let entry = self.table.find(self.table.hash(key), key)?;
        entry.is_live(self.turn.now_ms()).then_some(entry)
    }

    /// Adds members, at least one; returns how many are new.
    pub fn add_members<'k>(
        &mut self,
        key: &[u8],
        members: impl Iterator<Item = &'k [u8]> + Clone,
    ) -> Result<usize, Refusal> {
        let bytes = |member: &[u8]| record_bytes(key.len(), member.len());
        if self.turn.admit(members.clone().map(bytes).sum(), key.len()).is_err() {
            // Too large if all are new: existing ones cost nothing.
            let set = self.members(key)?;
            let new = members.clone().filter(|member| set.is_none_or(|set| !set.contains(member)));
            let bytes = new.map(bytes).sum();
            self.turn.admit(bytes, key.len())?;
        }
        let mut entry = self.write(key);
        let mut added = 0;
        for member in members {
            // A wrong type is refused at the first member, before anything has changed.
            added += usize::from(entry.set_add(member)?);
        }
        Ok(added)
    }

    /// Removes members; returns how many existed.
    pub fn remove_members<'k>(
        &mut self,
        key: &[u8],
        members: impl Iterator<Item = &'k [u8]> + Clone,
    ) -> Result<usize, Refusal> {
        let Some(mut entry) = self.find(key) else { return Ok(0) };
        let Some(set) = entry.view().members()? else { return Ok(0) };
        let there = members.clone().filter(|member| set.contains(member));
        let bytes = there.map(|member| record_bytes(key.len(), member.len())).sum();
        entry.admit(bytes)?;
        let mut removed = 0;
        for member in members {
            removed += usize::from(entry.set_remove(member)?);
        }
        Ok(removed)
    }

    /// Removes a random member.
    pub fn pop_member(&mut self, key: &[u8]) -> Result<Option<Bytes>, Refusal> {
        let mut rng = self.rng.fork();
        let Some(mut entry) = self.find(key) else { return Ok(None) };
        let Some(set) = entry.view().members()? else { return Ok(None) };
        let place = rng.usize(..set.len());
        let bytes = record_bytes(key.len(), set.at(place).map_or(0, |member| member.len()));
        entry.admit(bytes)?;
        entry.set_remove_at(place)
    }

    /// Removes up to `count` random members.
    pub fn pop_members(&mut self, key: &[u8], count: usize) -> Result<Vec<Bytes>, Refusal> {
        let mut rng = self.rng.fork();
        let Some(mut entry) = self.find(key) else { return Ok(Vec::new()) };
        let Some(set) = entry.view().members()? else { return Ok(Vec::new()) };
        let places = Draw::Distinct(count).places(set.len(), &mut rng);
        let drawn: Vec<Bytes> = places.into_iter().filter_map(|place| set.at(place)).map(Member::to_bytes).collect();
        entry.admit(drawn.iter().map(|member| record_bytes(key.len(), member.len())).sum())?;
        for member in &drawn {
            entry.set_remove(member)?;
        }
        Ok(drawn)
    }

    /// Random members; empty if the key does not exist.
    pub fn random_members(&mut self, key: &[u8], draw: Draw) -> Result<Vec<Member<'_>>, Refusal> {
        let mut rng = self.rng.fork();
        let Some(set) = self.members(key)? else { return Ok(Vec::new()) };
        let places = draw.places(set.len(), &mut rng);
        Ok(places.into_iter().filter_map(|place| set.at(place)).collect())
    }
}
