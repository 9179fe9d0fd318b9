//! Subscriptions that have fallen behind alike read the history together: a page is read and encoded once. One alone reads
//! like several, for a page that is told as a whole costs less than its events one by one.

use super::Hub;
use super::member::{Phase, To};
use super::reading::page_end;
use crate::history::{History, Scan};
use crate::limits::{SHARED_BYTES, SLICE_RECORDS};
use crate::position::Position;
use crate::subscription::{ClientId, Outlet};

impl Hub {
    /// The other members that stand where this one does, are to read up to `limit` or further, and are told alike. None
    /// where this one has to be told event by event.
    pub(super) fn others_like(&self, index: u32, limit: Position, outlet: &mut impl Outlet) -> Option<Vec<u32>> {
        let member = &self.members[index];
        let row = self.interests.row(member.interest);
        if !member.is_plain() || member.cursor.0 == 0 {
            return None;
        }
        let alike = member.common();
        let is_like = |other: &&u32| {
            let other = &self.members[**other];
            let reads = match other.phase {
                Phase::Reading => true,
                Phase::Joining(from) => from >= limit,
                Phase::Asked | Phase::Live => false,
            };
            reads && other.cursor == member.cursor && other.is_plain() && other.common() == alike
        };
        let mut others: Vec<u32> =
            row.members.iter().filter(|other| **other != index).filter(is_like).copied().collect();
        others.retain(|other| self.members[*other].may_tell(outlet));
        Some(others)
    }

    /// Reads a page for a member and others. False where there is a gap, and nothing was told: each meets that by itself.
    pub(super) fn read_together(
        &mut self,
        index: u32,
        others: &[u32],
        limit: Position,
        history: &mut History,
        outlet: &mut impl Outlet,
    ) -> bool {
        let Hub { members, interests, counts, .. } = self;
        let clients: Vec<ClientId> = others.iter().chain([&index]).map(|index| members[*index].client).collect();
        let teller = &mut members[index];
        let row = interests.row(teller.interest);
        let interest = row.interest.clone();
        let scan = Scan {
            cursor: teller.cursor,
            until: Some(page_end(teller.cursor, limit, row)),
            count: usize::MAX,
            bytes: SHARED_BYTES,
            records: SLICE_RECORDS,
            source: &interest.source,
            filter: &interest.filter,
        };
        let before = teller.last_checkpoint();
        let (mut told, mut is_gap) = (0, false);
        outlet.begin_shared(&clients, teller.id);
        let page = history.scan(&scan, |gap, _, record| {
            is_gap |= gap.is_some();
            if is_gap {
                return u64::MAX;
            }
            teller.checkpoint_each(record.position(), To::AllAlike, outlet);
            teller.tell(record, To::AllAlike, outlet);
            told += 1;
            record.bytes().len() as u64
        });
        // What none of them can get past, each meets by itself too.
        is_gap |= page.gap.is_some() || (page.is_too_long || page.is_damaged) && page.next == scan.cursor;
        if !is_gap {
            teller.checkpoint_each(page.next, To::AllAlike, outlet);
        }
        outlet.end_shared();
        if is_gap {
            debug_assert!(told == 0 && teller.last_checkpoint() == before, "a gap lies before what is told");
            return false;
        }
        counts.events += told * clients.len() as u64;
        let last_checkpoint = Some(teller.last_checkpoint()).filter(|last| *last > before);
        for &index in others.iter().chain([&index]) {
            let member = &mut members[index];
            member.cursor = page.next;
            member.note_told(told > 0, last_checkpoint);
        }
        true
    }
}
