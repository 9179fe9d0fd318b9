//! The client of KurrentDB for Rust. CLIENT_KURRENTDB, and with _USERS, _TLS and _OTHER, are connection strings: the last has
//! the authority of another server.

use kurrentdb::{
    AppendToStreamOptions, BatchAppendOptions, Client, Credentials, CurrentRevision, DeleteStreamOptions, Error, EventData,
    GetPersistentSubscriptionInfoOptions, NakAction,
    PersistentSubscriptionEvent, PersistentSubscriptionOptions, PersistentSubscriptionToAllOptions, Position,
    ReadAllOptions, ReadStream, ReadStreamOptions, ResolvedEvent, RetryOptions, StreamMetadataBuilder,
    StreamMetadataResult, StreamPosition, StreamState, SubscribeToAllOptions, SubscribeToPersistentSubscriptionOptions, SubscribeToStreamOptions, Subscription,
    SubscriptionEvent, SubscriptionFilter, TombstoneStreamOptions,
};
use serde_json::json;
use std::time::{Duration, Instant};
use uuid::Uuid;

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn connect(variable: &str) -> Client {
    let text = std::env::var(variable).expect("it is told in the environment");
    Client::new(text.parse().expect("a connection string")).expect("a client")
}

fn named(prefix: &str) -> String {
    format!("{prefix}-{}", Uuid::new_v4())
}

fn event(name: &str, n: usize) -> EventData {
    let metadata = json!({ "of": "rust" });
    EventData::json(name, &json!(n)).expect("JSON").id(Uuid::new_v4()).metadata_as_json(&metadata).expect("JSON")
}

fn events(name: &str, count: usize) -> Vec<EventData> {
    (0..count).map(|n| event(name, n)).collect()
}

fn expecting(state: StreamState) -> AppendToStreamOptions {
    AppendToStreamOptions::default().stream_state(state)
}

async fn all(read: kurrentdb::Result<ReadStream>) -> kurrentdb::Result<Vec<ResolvedEvent>> {
    let (mut read, mut found) = (read?, Vec::new());
    while let Some(event) = read.next().await? {
        found.push(event);
    }
    Ok(found)
}

fn numbers(found: &[ResolvedEvent]) -> Vec<u64> {
    found.iter().map(|event| event.get_original_event().revision).collect()
}

async fn until_caught_up(subscription: &mut Subscription) -> kurrentdb::Result<(Vec<ResolvedEvent>, Vec<Position>)> {
    let (mut found, mut checkpoints) = (Vec::new(), Vec::new());
    loop {
        match subscription.next_subscription_event().await? {
            SubscriptionEvent::EventAppeared(event) => found.push(event),
            SubscriptionEvent::Checkpoint(position) => checkpoints.push(position),
            SubscriptionEvent::CaughtUp(info) => {
                assert!(info.is_some());
                return Ok((found, checkpoints));
            }
            _ => {}
        }
    }
}

async fn appends(client: &Client) -> Outcome {
    let stream = named("rust");
    let done = client.append_to_stream(stream.as_str(), &expecting(StreamState::NoStream), event("Made", 0)).await?;
    assert_eq!((done.next_expected_version, done.position.commit), (0, done.position.prepare));
    let at = expecting(StreamState::StreamRevision(0));
    assert_eq!(client.append_to_stream(stream.as_str(), &at, events("Made", 20)).await?.next_expected_version, 20);
    for state in [StreamState::NoStream, StreamState::StreamRevision(3), StreamState::StreamRevision(99)] {
        match client.append_to_stream(stream.as_str(), &expecting(state), event("Made", 1)).await {
            Err(Error::WrongExpectedVersion { current, expected }) => {
                assert_eq!((current, expected), (CurrentRevision::Current(20), state));
            }
            other => panic!("{other:?}"),
        }
    }
    let same = event("Made", 0);
    let once = client.append_to_stream(stream.as_str(), &Default::default(), same.clone()).await?;
    let again = client.append_to_stream(stream.as_str(), &Default::default(), same).await?;
    assert_eq!((once.next_expected_version, once.position), (again.next_expected_version, again.position));
    let batch = client.batch_append(&BatchAppendOptions::default()).await?;
    for n in 0..10 {
        let done = batch.append_to_stream(stream.as_str(), StreamState::Any, vec![event("Batch", n)]).await?;
        assert_eq!(done.current_revision(), Some(22 + n as u64));
    }
    assert!(batch.append_to_stream(stream.as_str(), StreamState::NoStream, vec![event("Batch", 1)]).await.is_err());
    Ok(())
}

async fn reads(client: &Client) -> Outcome {
    let stream = named("rust");
    client.append_to_stream(stream.as_str(), &Default::default(), events("Read", 100)).await?;
    let forwards = ReadStreamOptions::default();
    let found = all(client.read_stream(stream.as_str(), &forwards).await).await?;
    assert_eq!(numbers(&found), (0..100).collect::<Vec<_>>());
    let first = found[0].get_original_event();
    assert_eq!((&first.event_type[..], &first.data[..], first.is_json), ("Read", &b"0"[..], true));
    let backwards = ReadStreamOptions::default().backwards().position(StreamPosition::Position(3));
    assert_eq!(numbers(&all(client.read_stream(stream.as_str(), &backwards).await).await?), [3, 2, 1, 0]);
    let some = ReadStreamOptions::default().position(StreamPosition::Position(90)).max_count(3);
    assert_eq!(numbers(&all(client.read_stream(stream.as_str(), &some).await).await?), [90, 91, 92]);
    let none = all(client.read_stream(named("none").as_str(), &forwards).await).await;
    assert!(matches!(none, Err(Error::ResourceNotFound)), "{none:?}");
    let from = ReadAllOptions::default().position(StreamPosition::Position(found[98].get_original_event().position));
    let rest = all(client.read_all(&from).await).await?;
    assert_eq!(rest.iter().filter(|event| event.get_original_stream_id() == stream).count(), 2);
    let filter = SubscriptionFilter::on_stream_name().add_prefix(&stream);
    assert_eq!(numbers(&all(client.read_all(&ReadAllOptions::default().filter(filter).max_count(2)).await).await?), [0, 1]);
    let newest = ReadAllOptions::default().backwards().position(StreamPosition::End).max_count(2);
    assert_eq!(numbers(&all(client.read_all(&newest).await).await?), [99, 98]);
    Ok(())
}

async fn links(client: &Client) -> Outcome {
    let (target, stream) = (named("rust"), named("rust-links"));
    client.append_to_stream(target.as_str(), &Default::default(), events("Made", 3)).await?;
    let link = |data: String| EventData::binary("$>", data.into_bytes().into()).id(Uuid::new_v4());
    let appended = vec![link(format!("2@{target}")), link(format!("9@{target}")), event("Between", 0)];
    client.append_to_stream(stream.as_str(), &Default::default(), appended).await?;
    let options = ReadStreamOptions::default().resolve_link_tos();
    let found = all(client.read_stream(stream.as_str(), &options).await).await?;
    assert_eq!(numbers(&found), [0, 1, 2]);
    let ids = |event: &ResolvedEvent| (event.event.as_ref().map(|event| event.revision), event.link.is_some());
    assert_eq!(found.iter().map(ids).collect::<Vec<_>>(), [(Some(2), true), (None, true), (Some(2), false)]);
    let options = SubscribeToStreamOptions::default().start_from(StreamPosition::Start).resolve_link_tos();
    let mut subscription = client.subscribe_to_stream(stream.as_str(), &options).await;
    let (found, _) = until_caught_up(&mut subscription).await?;
    assert_eq!(found.iter().map(ids).collect::<Vec<_>>(), [(Some(2), true), (None, true), (Some(2), false)]);
    client.append_to_stream(stream.as_str(), &Default::default(), link(format!("1@{target}"))).await?;
    let live = subscription.next().await?;
    assert_eq!((ids(&live), live.get_original_event().revision), ((Some(1), true), 3));
    Ok(())
}

async fn deletes(client: &Client) -> Outcome {
    let stream = named("rust");
    client.append_to_stream(stream.as_str(), &Default::default(), events("Gone", 3)).await?;
    let wrong = DeleteStreamOptions::default().stream_state(StreamState::StreamRevision(1));
    assert!(client.delete_stream(stream.as_str(), &wrong).await.is_err());
    let right = DeleteStreamOptions::default().stream_state(StreamState::StreamRevision(2));
    assert!(client.delete_stream(stream.as_str(), &right).await?.is_some());
    let found = all(client.read_stream(stream.as_str(), &Default::default()).await).await;
    assert!(matches!(found, Err(Error::ResourceNotFound)), "{found:?}");
    let again = client.append_to_stream(stream.as_str(), &expecting(StreamState::NoStream), event("Again", 0)).await?;
    assert_eq!(again.next_expected_version, 3);
    client.tombstone_stream(stream.as_str(), &TombstoneStreamOptions::default()).await?;
    let found = client.read_stream(stream.as_str(), &Default::default()).await;
    assert!(matches!(found, Err(Error::ResourceDeleted)));
    let append = client.append_to_stream(stream.as_str(), &Default::default(), event("Again", 0)).await;
    assert!(matches!(append, Err(Error::ResourceDeleted)), "{append:?}");
    Ok(())
}

async fn metadata(client: &Client) -> Outcome {
    let stream = named("rust");
    let found = client.get_stream_metadata(stream.as_str(), &Default::default()).await?;
    assert!(matches!(found, StreamMetadataResult::NotFound));
    client.append_to_stream(stream.as_str(), &Default::default(), events("Kept", 10)).await?;
    for (max_count, left) in [(4, vec![6, 7, 8, 9]), (2, vec![8, 9])] {
        let metadata = StreamMetadataBuilder::new().max_count(max_count).max_age(Duration::from_secs(3600));
        let metadata = metadata.insert_custom_property("note", json!("mine")).build();
        client.set_stream_metadata(stream.as_str(), &Default::default(), &metadata).await?;
        let StreamMetadataResult::Success(found) = client.get_stream_metadata(stream.as_str(), &Default::default()).await?
        else {
            panic!("there is metadata");
        };
        assert_eq!(found.metadata().max_count, Some(max_count));
        assert_eq!(numbers(&all(client.read_stream(stream.as_str(), &Default::default()).await).await?), left);
    }
    Ok(())
}

async fn subscriptions(client: &Client) -> Outcome {
    let stream = named("rust");
    client.append_to_stream(stream.as_str(), &Default::default(), events("Told", 50)).await?;
    let start = SubscribeToStreamOptions::default().start_from(StreamPosition::Start);
    let mut told = client.subscribe_to_stream(stream.as_str(), &start).await;
    assert_eq!(until_caught_up(&mut told).await?.0.len(), 50);
    client.append_to_stream(stream.as_str(), &Default::default(), events("Told", 2)).await?;
    assert_eq!(numbers(&[told.next().await?, told.next().await?]), [50, 51]);
    let from = SubscribeToStreamOptions::default().start_from(StreamPosition::Position(49));
    let mut told = client.subscribe_to_stream(stream.as_str(), &from).await;
    assert_eq!(numbers(&until_caught_up(&mut told).await?.0), [50, 51]);
    let live = SubscribeToStreamOptions::default().start_from(StreamPosition::End);
    let mut told = client.subscribe_to_stream(stream.as_str(), &live).await;
    assert!(until_caught_up(&mut told).await?.0.is_empty());
    client.append_to_stream(stream.as_str(), &Default::default(), event("Told", 0)).await?;
    assert_eq!(told.next().await?.get_original_event().revision, 52);
    client.tombstone_stream(stream.as_str(), &Default::default()).await?;
    assert_eq!(told.next().await?.get_original_event().event_type, "$streamDeleted");
    let end = told.next().await;
    assert!(matches!(end, Err(Error::ResourceDeleted)), "{:?}", end.err());

    let simple = |name: &str| format!("{name}{}", Uuid::new_v4().simple());
    let (one, two) = (simple("one"), simple("two"));
    let done = client.append_to_stream(format!("{one}-a"), &Default::default(), events("Kind-A", 3)).await?;
    client.append_to_stream(format!("{two}-a"), &Default::default(), events(&format!("Kind-{two}"), 4)).await?;
    let after = SubscribeToAllOptions::default().position(StreamPosition::Position(done.position));
    let mut told = client.subscribe_to_all(&after).await;
    assert_eq!(numbers(&until_caught_up(&mut told).await?.0), [0, 1, 2, 3]);
    let mut told = client.subscribe_to_all(&SubscribeToAllOptions::default().position(StreamPosition::End)).await;
    assert!(until_caught_up(&mut told).await?.0.is_empty());
    client.append_to_stream(format!("{one}-b"), &Default::default(), event("Kind-B", 0)).await?;
    assert_eq!(told.next().await?.get_original_event().event_type, "Kind-B");
    let (on_stream, on_type) = (SubscriptionFilter::on_stream_name, SubscriptionFilter::on_event_type);
    for (filter, count) in [
        (on_stream().add_prefix(format!("{one}-")).add_prefix(format!("{two}-")), 8),
        (on_stream().regex(format!("^{one}")), 4),
        (on_type().add_prefix(format!("Kind-{two}")), 4),
        (on_type().regex(format!("^Kind-{two}$|^Never")), 4),
    ] {
        let mut told = client.subscribe_to_all(&SubscribeToAllOptions::default().filter(filter)).await;
        assert_eq!(until_caught_up(&mut told).await?.0.len(), count);
    }
    let filter = on_type().exclude_system_events().max(5);
    let mut told = client.subscribe_to_all(&SubscribeToAllOptions::default().filter(filter)).await;
    let (found, checkpoints) = until_caught_up(&mut told).await?;
    assert!(found.len() > 60 && found.iter().all(|event| !event.get_original_event().event_type.starts_with('$')));
    assert!(checkpoints.len() >= 12 && checkpoints.is_sorted(), "{checkpoints:?}");
    let links = SubscribeToStreamOptions::default().start_from(StreamPosition::Start).resolve_link_tos();
    let mut told = client.subscribe_to_stream(format!("$ce-{one}"), &links).await;
    let (found, _) = until_caught_up(&mut told).await?;
    assert_eq!(found.iter().filter(|event| event.is_resolved()).count(), 4);
    Ok(())
}

async fn many(client: &Client) -> Outcome {
    let name = named("Many");
    let mut all_told = Vec::new();
    for _ in 0..90 {
        let filter = SubscriptionFilter::on_event_type().add_prefix(&name);
        let live = SubscribeToAllOptions::default().position(StreamPosition::End).filter(filter);
        let live = live.retry_options(RetryOptions::default());
        let mut told = client.subscribe_to_all(&live).await;
        until_caught_up(&mut told).await?;
        all_told.push(told);
    }
    client.append_to_stream(named("rust"), &Default::default(), events(&name, 2)).await?;
    for told in &mut all_told {
        for n in [b"0", b"1"] {
            assert_eq!(&told.next().await?.get_original_event().data[..], n);
        }
    }
    drop(all_told);
    let stream = named("rust");
    let appends = events("Pipelined", 3000).into_iter().map(|event| {
        let (client, stream) = (client.clone(), stream.clone());
        tokio::spawn(async move { client.append_to_stream(stream, &Default::default(), event).await })
    });
    for append in appends.collect::<Vec<_>>() {
        append.await??;
    }
    assert_eq!(all(client.read_stream(stream.as_str(), &Default::default()).await).await?.len(), 3000);
    let data = vec![7; 1_000_000];
    let large = EventData::binary("Large", data.clone().into()).id(Uuid::new_v4());
    client.append_to_stream(named("large"), &Default::default(), large).await?;
    let newest = ReadAllOptions::default().backwards().position(StreamPosition::End).max_count(1);
    assert_eq!(all(client.read_all(&newest).await).await?[0].get_original_event().data, data);
    Ok(())
}

async fn persistent(client: &Client) -> Outcome {
    let stream = named("rust");
    let options = PersistentSubscriptionOptions::default().start_from(StreamPosition::Start).max_retry_count(2);
    client.create_persistent_subscription(stream.as_str(), "g", &options).await?;
    let again = client.create_persistent_subscription(stream.as_str(), "g", &options).await;
    assert!(matches!(again, Err(Error::ResourceAlreadyExists)), "{again:?}");
    client.append_to_stream(stream.as_str(), &Default::default(), events("Made", 4)).await?;
    let small = SubscribeToPersistentSubscriptionOptions::default().buffer_size(2);
    let mut reader = client.subscribe_to_persistent_subscription(stream.as_str(), "g", &small).await?;
    let mut got = Vec::new();
    while got.len() < 5 {
        let PersistentSubscriptionEvent::EventAppeared { retry_count, event } = reader.next_subscription_event().await?
        else {
            continue;
        };
        let revision = event.get_original_event().revision;
        got.push((revision, retry_count));
        match (revision, retry_count) {
            (1, 0) => reader.nack(&event, NakAction::Retry, "once more").await?,
            (2, _) => reader.nack(&event, NakAction::Park, "not now").await?,
            _ => reader.ack(&event).await?,
        }
    }
    got.sort_unstable();
    assert_eq!(got, [(0, 0), (1, 0), (1, 1), (2, 0), (3, 0)]);
    let none = GetPersistentSubscriptionInfoOptions::default();
    let info = || client.get_persistent_subscription_info(stream.as_str(), "g", &none);
    while info().await?.stats.parked_message_count != 1 {}
    assert_eq!(info().await?.settings.map(|settings| settings.max_retry_count), Some(2));
    client.replay_parked_messages(stream.as_str(), "g", &Default::default()).await?;
    let event = reader.next().await?;
    assert_eq!(event.get_original_event().revision, 2);
    reader.ack(&event).await?;
    // To all events of a type.
    let kind = format!("Kind{}", Uuid::new_v4().simple());
    let filter = SubscriptionFilter::on_event_type().add_prefix(&kind);
    let options = PersistentSubscriptionToAllOptions::default().start_from(StreamPosition::End).filter(filter);
    client.create_persistent_subscription_to_all(&kind, &options).await?;
    client.append_to_stream(stream.as_str(), &Default::default(), vec![event_of("Other"), event_of(&kind)]).await?;
    let mut all = client.subscribe_to_persistent_subscription_to_all(&kind, &Default::default()).await?;
    let event = all.next().await?;
    assert_eq!(event.get_original_event().event_type, kind);
    all.ack(&event).await?;
    assert!(client.list_all_persistent_subscriptions(&Default::default()).await?.len() >= 2);
    client.delete_persistent_subscription_to_all(&kind, &Default::default()).await?;
    assert!(matches!(all.next().await, Err(Error::IllegalStateError(_))));
    client.restart_persistent_subscription_subsystem(&Default::default()).await?;
    client.delete_persistent_subscription(stream.as_str(), "g", &Default::default()).await?;
    assert!(matches!(info().await, Err(Error::ResourceNotFound)));
    Ok(())
}

fn event_of(name: &str) -> EventData {
    event(name, 0)
}

async fn users(_: &Client) -> Outcome {
    let users = connect("CLIENT_KURRENTDB_USERS");
    let stream = named("app:rust");
    users.append_to_stream(stream.as_str(), &Default::default(), event("Mine", 0)).await?;
    assert_eq!(all(users.read_stream(stream.as_str(), &Default::default()).await).await?.len(), 1);
    let refused = users.append_to_stream("other", &Default::default(), event("Mine", 0)).await;
    assert!(matches!(refused, Err(Error::AccessDenied)), "{refused:?}");
    assert!(matches!(users.read_all(&Default::default()).await, Err(Error::AccessDenied)));
    let refused = users.subscribe_to_all(&Default::default()).await.next().await;
    assert!(matches!(refused, Err(Error::AccessDenied)), "{:?}", refused.err());
    Ok(())
}

async fn tls(_: &Client) -> Outcome {
    let tls = connect("CLIENT_KURRENTDB_TLS");
    let (mine, others) = (named("app:rust"), named("other"));
    tls.append_to_stream(mine.as_str(), &Default::default(), event("Mine", 0)).await?;
    assert_eq!(all(tls.read_stream(mine.as_str(), &Default::default()).await).await?.len(), 1);
    let refused = tls.append_to_stream(others.as_str(), &Default::default(), event("Mine", 0)).await;
    assert!(matches!(refused, Err(Error::AccessDenied)), "{refused:?}");
    // The credentials of a call go before those of the connection.
    let options = AppendToStreamOptions::default().authenticated(Credentials::new("default", "secret"));
    tls.append_to_stream(others.as_str(), &options, event("Mine", 0)).await?;
    let options = ReadStreamOptions::default().authenticated(Credentials::new("default", "secret"));
    assert_eq!(all(tls.read_stream(others.as_str(), &options).await).await?.len(), 1);
    let options = AppendToStreamOptions::default().authenticated(Credentials::new("anna", "wrong"));
    let refused = tls.append_to_stream(mine.as_str(), &options, event("Mine", 1)).await;
    assert!(matches!(refused, Err(Error::AccessDenied)), "{refused:?}");
    let stranger = connect("CLIENT_KURRENTDB_OTHER");
    assert!(stranger.append_to_stream(mine.as_str(), &Default::default(), event("Mine", 2)).await.is_err());
    Ok(())
}

#[tokio::main]
async fn main() -> Outcome {
    let client = connect("CLIENT_KURRENTDB");
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    if wanted == ["sequential"] {
        // It sleeps before it connects.
        client.append_to_stream("sequential", &Default::default(), event("One", 0)).await?;
        let start = Instant::now();
        for n in 0..100 {
            client.append_to_stream("sequential", &Default::default(), event("One", n)).await?;
        }
        println!("{} us for each append, one behind the other", start.elapsed().as_micros() / 100);
        return Ok(());
    }
    macro_rules! steps {
        ($($step:ident)*) => {$(
            if wanted.is_empty() || wanted.iter().any(|name| name == stringify!($step)) {
                if let Err(error) = $step(&client).await {
                    eprintln!("{}: {error}", stringify!($step));
                    std::process::exit(1);
                }
            }
        )*};
    }
    steps!(appends reads links deletes metadata subscriptions many persistent users tls);
    println!("kurrentdb for Rust: append, read, links, delete, metadata, subscriptions, many, persistent, users, tls");
    Ok(())
}
