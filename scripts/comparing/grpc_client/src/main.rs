//! The load on servers of gRPC, each by its own client, unmodified: `grpc-load kurrentdb|umadb ADDRESS WHAT NUMBER…` prints
//! figures as JSON. WHAT is one of
//!
//! | what | numbers | does |
//! |---|---|---|
//! | `fill` | events, bytes | appends so many events of so many bytes, a thousand at a time; prints the last position |
//! | `append` | writers, milliseconds, bytes | each writer appends one event after the other |
//! | `subscribe` | subscribers, events, position | each reads so many events of all, behind a position |
//! | `fill-group` | events, bytes | as `fill`, to the stream of `group` |
//! | `group` | events, in flight | reads and acknowledges so many events of a new persistent subscription |
//!
//! Of `append` the first tenth of the time is not counted.

use futures_util::StreamExt;
use futures_util::future::{join_all, try_join_all};
use kurrentdb::{
    Client, EventData, PersistentSubscriptionOptions, Position, StreamPosition, SubscribeToAllOptions,
    SubscribeToPersistentSubscriptionOptions,
};
use serde_json::json;
use std::time::{Duration, Instant};
use umadb_client::{AsyncUmaDbClient, UmaDbClient};
use umadb_dcb::{DcbEvent, DcbEventStoreAsync};

type Failure = Box<dyn std::error::Error>;

/// How many events an append of `fill` has.
const FILL_EVENTS: usize = 1_000;

/// Over how many streams, or tags, events are spread.
const STREAMS: usize = 1_000;

/// The stream of a persistent subscription.
const OF_GROUP: &str = "of-a-group";

enum Store {
    Kurrent(Client),
    Uma(AsyncUmaDbClient),
}

impl Store {
    async fn connect(kind: &str, address: &str) -> Result<Store, Failure> {
        if kind == "umadb" {
            return Ok(Store::Uma(UmaDbClient::new(format!("http://{address}")).connect_async().await?));
        }
        Ok(Store::Kurrent(Client::new(format!("kurrentdb://{address}?tls=false").parse()?)?))
    }

    /// Appends events to a stream; the position of the last one.
    async fn append(&self, stream: &str, data: &[u8], count: usize) -> Result<u64, Failure> {
        match self {
            Store::Kurrent(client) => {
                let event = || EventData::binary("Happened", data.to_vec().into()).id(uuid::Uuid::new_v4());
                let events: Vec<EventData> = (0..count).map(|_| event()).collect();
                Ok(client.append_to_stream(stream, &Default::default(), events).await?.position.commit)
            }
            Store::Uma(client) => {
                let event = || DcbEvent::new().event_type("Happened").tags([stream]).data(data);
                let events = (0..count).map(|_| DcbEvent { uuid: Some(uuid::Uuid::new_v4()), ..event() }).collect();
                Ok(client.append(events, None, None).await?)
            }
        }
    }

    /// Reads so many events behind a position, as a subscription.
    async fn subscribe(&self, events: usize, after: u64) -> Result<(), Failure> {
        match self {
            Store::Kurrent(client) => {
                let from = match after {
                    0 => StreamPosition::Start,
                    after => StreamPosition::Position(Position { commit: after, prepare: after }),
                };
                let mut subscription = client.subscribe_to_all(&SubscribeToAllOptions::default().position(from)).await;
                for _ in 0..events {
                    subscription.next().await?;
                }
            }
            Store::Uma(client) => {
                let mut subscription = client.subscribe(None, Some(after).filter(|after| *after > 0)).await?;
                for _ in 0..events {
                    subscription.next().await.ok_or("the subscription has ended")??;
                }
            }
        }
        Ok(())
    }

    /// Appends for a while; how long each append has taken, in microseconds.
    async fn append_for(&self, stream: &str, data: &[u8], time: Duration) -> Result<Vec<u64>, Failure> {
        let (start, mut took) = (Instant::now(), Vec::new());
        while start.elapsed() < time {
            let begun = Instant::now();
            self.append(stream, data, 1).await?;
            if start.elapsed() > time / 10 {
                took.push(begun.elapsed().as_micros() as u64);
            }
        }
        Ok(took)
    }
}

async fn run(words: &[String]) -> Result<serde_json::Value, Failure> {
    let [kind, address, what, numbers @ ..] = words else { return Err("kurrentdb|umadb ADDRESS WHAT NUMBER…".into()) };
    let numbers = numbers.iter().map(|number| number.parse()).collect::<Result<Vec<u64>, _>>()?;
    let connect = || Store::connect(kind, address);
    let start;
    Ok(match (what.as_str(), &numbers[..]) {
        ("fill", &[events, bytes]) => {
            let (store, data) = (connect().await?, vec![b'x'; bytes as usize]);
            let mut last = 0;
            for n in 0..events as usize / FILL_EVENTS {
                last = store.append(&format!("filled-{}", n % STREAMS), &data, FILL_EVENTS).await?;
            }
            json!({ "last": last })
        }
        ("append", &[writers, ms, bytes]) => {
            let stores = try_join_all((0..writers).map(|_| connect())).await?;
            // The client of KurrentDB connects with its first call, and sleeps before.
            try_join_all(stores.iter().map(|store| store.append("first", b"x", 1))).await?;
            let (data, time) = (vec![b'x'; bytes as usize], Duration::from_millis(ms));
            let names: Vec<String> = (0..writers).map(|n| format!("written-{n}")).collect();
            let appends = stores.iter().zip(&names).map(|(store, name)| store.append_for(name, &data, time));
            let mut took = try_join_all(appends).await?.concat();
            took.sort_unstable();
            let at = |share: f64| took.get((took.len() as f64 * share) as usize).copied();
            let rate = took.len() as f64 / (time * 9 / 10).as_secs_f64();
            json!({ "events": took.len(), "rate": rate, "p50": at(0.5), "p99": at(0.99) })
        }
        ("subscribe", &[subscribers, events, after]) => {
            let stores = try_join_all((0..subscribers).map(|_| connect())).await?;
            start = Instant::now();
            let done = join_all(stores.iter().map(|store| store.subscribe(events as usize, after))).await;
            done.into_iter().collect::<Result<Vec<()>, _>>()?;
            let events = subscribers * events;
            json!({ "events": events, "rate": events as f64 / start.elapsed().as_secs_f64() })
        }
        ("group", &[events, in_flight]) => {
            let Store::Kurrent(client) = connect().await? else { return Err("it has no persistent subscriptions".into()) };
            let group = uuid::Uuid::new_v4().to_string();
            let options = PersistentSubscriptionOptions::default().start_from(StreamPosition::Start);
            client.create_persistent_subscription(OF_GROUP, &group, &options).await?;
            let options = SubscribeToPersistentSubscriptionOptions::default().buffer_size(in_flight as usize);
            let mut subscription = client.subscribe_to_persistent_subscription(OF_GROUP, &group, &options).await?;
            start = Instant::now();
            for _ in 0..events {
                let event = subscription.next().await?;
                subscription.ack(&event).await?;
            }
            let rate = events as f64 / start.elapsed().as_secs_f64();
            drop(subscription);
            client.delete_persistent_subscription(OF_GROUP, &group, &Default::default()).await?;
            json!({ "events": events, "rate": rate })
        }
        ("fill-group", &[events, bytes]) => {
            let (store, data) = (connect().await?, vec![b'x'; bytes as usize]);
            for _ in 0..events as usize / FILL_EVENTS {
                store.append(OF_GROUP, &data, FILL_EVENTS).await?;
            }
            json!({})
        }
        _ => return Err(format!("{what} is not known, or has other numbers").into()),
    })
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match run(&words).await {
        Ok(figures) => println!("{figures}"),
        Err(error) => {
            eprintln!("grpc-load {}: {error}", words.join(" "));
            std::process::exit(1);
        }
    }
}
