//! Shared catch-up: members with the same interest and the same cursor read the history together. Each page is read and
//! encoded once for all of them. A single member reads the same way, since one shared delivery costs less than a message for
//! each event.

use super::Hub;
use super::member::{Audience, Phase};
use super::reading::page_end;
use crate::history::{History, Scan};
use crate::limits::{SHARED_BYTES, SLICE_RECORDS};
use crate::position::Position;
use crate::subscription::{ClientId, Outlet};

impl Hub {
    /// The other members that can read a page up to `limit` together with this one: those with the same cursor and the same
    /// delivery key. `None` if this member cannot share a delivery.
    pub(super) fn others_to_read_with(
        &self,
        index: u32,
        limit: Position,
        outlet: &mut impl Outlet,
    ) -> Option<Vec<u32>> {
        let member = &self.members[index];
        let row = self.interests.row(member.interest);
        if !member.can_share() || member.cursor.0 == 0 {
            return None;
        }
        let key = member.delivery_key();
        let is_like = |other: &&u32| {
            let other = &self.members[**other];
            let reads = match other.phase {
                Phase::Reading => true,
                Phase::Joining(from) => from >= limit,
                Phase::Asked | Phase::Live => false,
            };
            reads && other.cursor == member.cursor && other.can_share() && other.delivery_key() == key
        };
        let mut others: Vec<u32> =
            row.members.iter().filter(|other| **other != index).filter(is_like).copied().collect();
        others.retain(|other| self.members[*other].may_deliver(outlet));
        Some(others)
    }

    /// Reads a page for a member and others. Returns false if there is a gap: then nothing was sent, and each member handles
    /// the gap by itself.
    pub(super) fn read_shared(
        &mut self,
        index: u32,
        others: &[u32],
        limit: Position,
        history: &mut History,
        outlet: &mut impl Outlet,
    ) -> bool {
        let Hub { members, interests, counts, .. } = self;
        let clients: Vec<ClientId> = others.iter().chain([&index]).map(|index| members[*index].client).collect();
        let representative = &mut members[index];
        let row = interests.row(representative.interest);
        let interest = row.interest.clone();
        let scan = Scan {
            cursor: representative.cursor,
            until: Some(page_end(representative.cursor, limit, row)),
            count: usize::MAX,
            bytes: SHARED_BYTES,
            records: SLICE_RECORDS,
            source: &interest.source,
            filter: &interest.filter,
        };
        let before = representative.last_checkpoint();
        let (mut delivered, mut is_gap) = (0, false);
        outlet.begin_shared(&clients, representative.id);
        let page = history.scan(&scan, |gap, _, record| {
            is_gap |= gap.is_some();
            if is_gap {
                return u64::MAX;
            }
            representative.checkpoint_each(record.position(), Audience::Group, outlet);
            representative.deliver(record, Audience::Group, outlet);
            delivered += 1;
            record.bytes().len() as u64
        });
        // A record that no member can get past is handled like a gap.
        is_gap |= page.gap.is_some() || (page.is_too_long || page.is_damaged) && page.next == scan.cursor;
        if !is_gap {
            representative.checkpoint_each(page.next, Audience::Group, outlet);
        }
        outlet.end_shared();
        if is_gap {
            debug_assert!(delivered == 0 && representative.last_checkpoint() == before, "a gap lies before all events");
            return false;
        }
        counts.events += delivered * clients.len() as u64;
        let last_checkpoint = Some(representative.last_checkpoint()).filter(|last| *last > before);
        for &index in others.iter().chain([&index]) {
            let member = &mut members[index];
            member.cursor = page.next;
            member.note_delivered(delivered > 0, last_checkpoint);
        }
        true
    }
}
