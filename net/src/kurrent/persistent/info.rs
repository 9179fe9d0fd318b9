//! GetInfo and List: the figures of groups, as clients read them.

use super::super::proto::persistent_subscriptions::list_req::options::ListOption;
use super::super::proto::persistent_subscriptions::subscription_info::{ConnectionInfo, Measurement};
use super::super::proto::persistent_subscriptions::{GetInfoReq, GetInfoResp, ListReq, ListResp, SubscriptionInfo};
use super::super::rights::{Use, check_all};
use super::error::{does_not_exist, refused};
use super::names::{GroupName, key_of, source, source_of};
use super::settings::Settings;
use crate::groups::ask::{GroupAnswer, GroupAsk, GroupState, Names, ReaderState};
use crate::grpc::{CallContext, Handler, Status};
use bytes::Bytes;
use keytide_engine::filter::{Pattern, Target};
use keytide_engine::history::History;
use keytide_engine::interest::{Interest, Source};
use keytide_engine::position::{Position, Revision, ShardId};
use prost::Message;

/// A call of GetInfo.
pub struct GetInfo {
    name: Option<GroupName>,
}

impl GetInfo {
    pub fn begin() -> Box<dyn Handler> {
        Box::new(GetInfo { name: None })
    }
}

impl Handler for GetInfo {
    fn message(&mut self, context: &mut CallContext<'_>, message: Bytes) -> Result<(), Status> {
        let request = GetInfoReq::decode(message).map_err(|error| Status::invalid(error.to_string()))?;
        let options = request.options.ok_or_else(|| Status::invalid("options are missing"))?;
        let name = GroupName::read(options.stream_option, options.group_name)?;
        name.check(context, Use::InspectGroup)?;
        let names = name.names();
        context.ask_group(names.core(context.server.shards()), 0, GroupAsk::Describe(names));
        self.name = Some(name);
        Ok(())
    }

    fn group(
        &mut self,
        context: &mut CallContext<'_>,
        _: u32,
        answer: GroupAnswer,
        _: &mut History,
    ) -> Result<(), Status> {
        let (GroupAnswer::Described(state), Some(name)) = (answer, &self.name) else { return Ok(()) };
        let state = state.map_err(|error| refused(name, error))?;
        let answer = GetInfoResp { subscription_info: Some(info(&state)) };
        context.send(|out| answer.encode_raw(out));
        context.finish();
        Ok(())
    }
}

/// A call of List.
#[derive(Default)]
pub struct List {
    /// The source whose groups are wanted; all where none.
    source: Option<Bytes>,
    /// The cores that have not answered.
    waits_for: u16,
    found: Vec<GroupState>,
}

impl List {
    pub fn begin() -> Box<dyn Handler> {
        Box::new(List::default())
    }

    /// The key pattern whose groups are wanted; all where none.
    fn key(&self) -> Option<Bytes> {
        self.source.as_ref().map(|source| key_of(source))
    }
}

impl Handler for List {
    fn message(&mut self, context: &mut CallContext<'_>, message: Bytes) -> Result<(), Status> {
        let request = ListReq::decode(message).map_err(|error| Status::invalid(error.to_string()))?;
        self.source = match request.options.and_then(|options| options.list_option) {
            None => return Err(Status::invalid("list_option is missing")),
            Some(ListOption::ListAllSubscriptions(_)) => None,
            Some(ListOption::ListForStream(stream)) => Some(source(stream.stream_option)?),
        };
        match &self.source {
            None => check_all(context)?,
            Some(source) => {
                GroupName { source: source.clone(), group: String::new() }.check(context, Use::InspectGroup)?;
            }
        }
        self.waits_for = context.server.shards();
        for core in 0..self.waits_for {
            // A number tells which core has answered.
            context.ask_group(ShardId(core), core.into(), GroupAsk::List(self.key(), None));
        }
        Ok(())
    }

    fn group(
        &mut self,
        context: &mut CallContext<'_>,
        core: u32,
        answer: GroupAnswer,
        _: &mut History,
    ) -> Result<(), Status> {
        let GroupAnswer::Listed(found, has_more) = answer else { return Ok(()) };
        let last = found.last().map(|last| Names { key: last.key.clone(), group: last.group.clone() });
        self.found.extend(found);
        if has_more && let Some(last) = last {
            context.ask_group(ShardId(core as u16), core, GroupAsk::List(self.key(), Some(last)));
            return Ok(());
        }
        self.waits_for = self.waits_for.saturating_sub(1);
        if self.waits_for > 0 {
            return Ok(());
        }
        if let Some(source) = self.source.as_ref().filter(|_| self.found.is_empty()) {
            return Err(does_not_exist(&GroupName { source: source.clone(), group: String::new() }));
        }
        self.found.sort_by(|one, other| (&one.key, &one.group).cmp(&(&other.key, &other.group)));
        let subscriptions = self.found.iter().map(info).collect();
        context.send(|out| ListResp { subscriptions }.encode_raw(out));
        context.finish();
        Ok(())
    }
}

/// What numbers the events of a group, for clients.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Numbers {
    /// Revisions of its stream.
    Revisions,
    /// Positions, one number each.
    Positions,
    /// Positions as those of `$all`.
    All,
}

impl Numbers {
    fn of(interest: &Interest, source: &str) -> Numbers {
        let is_one_key = interest.filter.on() == Target::Stream
            && matches!(interest.filter.pattern(), Pattern::Glob(glob) if glob.exact().is_some());
        match &interest.source {
            Source::Stream(_) => Numbers::Revisions,
            Source::All if is_one_key => Numbers::Revisions,
            Source::All if source == "$all" => Numbers::All,
            _ => Numbers::Positions,
        }
    }

    fn show(self, event: Option<(Position, Option<Revision>)>) -> String {
        match (self, event) {
            (Numbers::All, Some((position, _))) => format!("C:{position}/P:{position}"),
            (Numbers::Positions, Some((position, _))) => position.to_string(),
            (Numbers::Revisions, Some((_, Some(revision)))) => revision.to_string(),
            (_, None) | (Numbers::Revisions, Some((_, None))) => String::new(),
        }
    }
}

fn count(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn small(number: usize) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

fn info(state: &GroupState) -> SubscriptionInfo {
    let group_info = &state.info;
    let event_source = source_of(&state.key);
    let numbers = Numbers::of(&state.interest, &event_source);
    let first = if numbers == Numbers::All { "C:0/P:0" } else { "0" };
    let settings = Settings::of(&group_info.options, &state.spec, first);
    let readers = &state.readers;
    let last_known = group_info.last_seen.map(|(position, revision)| (position, Some(revision)));
    SubscriptionInfo {
        event_source,
        group_name: String::from_utf8_lossy(&state.group).into_owned(),
        status: if state.is_live { "Live" } else { "Behind" }.to_owned(),
        connections: readers.iter().map(connection).collect(),
        average_per_second: small(readers.iter().map(|reader| reader.per_second as usize).sum()),
        total_items: count(group_info.counts.delivered.saturating_add(group_info.counts.redelivered)),
        count_since_last_measurement: count(readers.iter().map(|reader| reader.since).sum()),
        last_checkpointed_event_position: numbers.show(state.checkpoint),
        last_known_event_position: numbers.show(last_known),
        resolve_link_tos: settings.resolve_links,
        start_from: settings.start_from,
        message_timeout_milliseconds: settings.message_timeout_ms,
        extra_statistics: settings.extra_statistics,
        max_retry_count: settings.max_retry_count,
        live_buffer_size: settings.live_buffer_size,
        buffer_size: settings.history_buffer_size,
        read_batch_size: settings.read_batch_size,
        check_point_after_milliseconds: settings.checkpoint_after_ms,
        min_check_point_count: settings.min_checkpoint_count,
        max_check_point_count: settings.max_checkpoint_count,
        read_buffer_count: 0,
        live_buffer_count: 0,
        retry_buffer_count: small(group_info.due),
        total_in_flight_messages: small(group_info.in_flight),
        outstanding_messages_count: small(group_info.in_flight),
        named_consumer_strategy: settings.strategy,
        max_subscriber_count: settings.max_subscriber_count,
        parked_message_count: count(group_info.parked as u64),
    }
}

/// What clients read of how long a reader takes, in milliseconds: the names are KurrentDB's.
fn measurements(times: &[u32]) -> Vec<Measurement> {
    let mut times: Vec<i64> = times.iter().copied().map(i64::from).collect();
    times.sort_unstable();
    let (Some(&fastest), Some(&highest)) = (times.first(), times.last()) else { return Vec::new() };
    // In thousandths, as there is half a percent.
    let at = |share: usize| times[(times.len() * share / 1_000).min(times.len() - 1)];
    let quintiles = (1..=5).map(|n| (format!("Quintile {n}"), at((n - 1) * 200)));
    let shares = [("90%", 900), ("95%", 950), ("99%", 990), ("99.5%", 995), ("99.9%", 999)];
    let mean = times.iter().sum::<i64>() / times.len() as i64;
    [("Mean", mean), ("Median", times[times.len() / 2]), ("Fastest", fastest)]
        .map(|(name, value)| (name.to_owned(), value))
        .into_iter()
        .chain(quintiles)
        .chain(shares.map(|(name, share)| (name.to_owned(), at(share))))
        .chain([("Highest".to_owned(), highest)])
        .map(|(key, value)| Measurement { key, value })
        .collect()
}

fn connection(reader: &ReaderState) -> ConnectionInfo {
    ConnectionInfo {
        from: reader.info.peer.clone(),
        username: reader.info.user.clone(),
        average_items_per_second: small(reader.per_second as usize),
        total_items: count(reader.total),
        count_since_last_measurement: count(reader.since),
        observed_measurements: measurements(&reader.times),
        available_slots: small(reader.free),
        in_flight_messages: small(reader.in_flight),
        connection_name: reader.info.connection.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measurements_are_those_of_the_sorted_times() {
        assert!(measurements(&[]).is_empty());
        let of = |times: &[u32]| -> Vec<(String, i64)> {
            measurements(times).into_iter().map(|Measurement { key, value }| (key, value)).collect()
        };
        assert!(of(&[7]).iter().all(|(_, value)| *value == 7) && of(&[7]).len() == 14);
        let all = of(&(0..1_000).rev().collect::<Vec<u32>>());
        for (name, value) in [
            ("Mean", 499),
            ("Median", 500),
            ("Fastest", 0),
            ("Quintile 1", 0),
            ("Quintile 5", 800),
            ("90%", 900),
            ("99.5%", 995),
            ("99.9%", 999),
            ("Highest", 999),
        ] {
            assert!(all.contains(&(name.to_owned(), value)), "{name}: {all:?}");
        }
    }
}
