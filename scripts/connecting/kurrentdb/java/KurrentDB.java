import io.kurrent.dbclient.*;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.Instant;
import java.util.*;
import java.util.concurrent.*;
import java.util.stream.*;

/** The client of KurrentDB for Java. CLIENT_KURRENTDB, and with _USERS, _TLS and _OTHER, are connection strings. */
class KurrentDB {
    static final int SECONDS = 60;
    static KurrentDBClient client = connect("CLIENT_KURRENTDB");

    static KurrentDBClient connect(String variable) {
        return KurrentDBClient.create(KurrentDBConnectionString.parseOrThrow(System.getenv(variable)));
    }

    static void check(boolean is, Object... what) {
        if (!is) throw new AssertionError(Arrays.toString(what));
    }

    static <T> T get(CompletableFuture<T> future) throws Exception {
        return future.get(SECONDS, TimeUnit.SECONDS);
    }

    static Throwable failure(CompletableFuture<?> future) throws Exception {
        try {
            future.get(SECONDS, TimeUnit.SECONDS);
        } catch (ExecutionException error) {
            return error.getCause();
        }
        throw new AssertionError("nothing has failed");
    }

    static void fails(Class<?> with, CompletableFuture<?> future) throws Exception {
        Throwable error = failure(future);
        if (!with.isInstance(error)) throw new AssertionError("otherwise than with " + with, error);
    }

    static String named(String prefix) {
        return prefix + "-" + UUID.randomUUID();
    }

    static EventData event(String type, int n) {
        byte[] metadata = "{\"of\":\"java\"}".getBytes(StandardCharsets.UTF_8);
        return EventData.builderAsJson(type, Integer.toString(n).getBytes()).metadataAsBytes(metadata).build();
    }

    static EventData[] events(String type, int count) {
        return IntStream.range(0, count).mapToObj(n -> event(type, n)).toArray(EventData[]::new);
    }

    static AppendToStreamOptions expecting(StreamState state) {
        return AppendToStreamOptions.get().streamState(state);
    }

    static WriteResult append(String stream, StreamState state, EventData... events) throws Exception {
        return get(client.appendToStream(stream, expecting(state), events));
    }

    static String numbers(List<ResolvedEvent> found) {
        return found.stream().map(e -> e.getOriginalEvent().getRevision()).collect(Collectors.toList()).toString();
    }

    static List<ResolvedEvent> read(String stream, ReadStreamOptions options) throws Exception {
        return get(client.readStream(stream, options)).getEvents();
    }

    /** What a subscription has told, in order. */
    static class Told extends SubscriptionListener {
        final BlockingQueue<Object> items = new LinkedBlockingQueue<>();
        final List<Position> checkpoints = new CopyOnWriteArrayList<>();
        Subscription subscription;

        public void onEvent(Subscription subscription, ResolvedEvent event) {
            items.add(event);
        }

        public void onCancelled(Subscription subscription, Throwable error) {
            items.add(error);
        }

        public void onCaughtUp(Subscription subscription, Instant at, Long revision, Position position) {
            items.add("live");
        }

        Object next() throws Exception {
            Object item = items.poll(SECONDS, TimeUnit.SECONDS);
            check(item != null, "nothing has come");
            return item;
        }

        RecordedEvent nextEvent() throws Exception {
            Object item = next();
            check(item instanceof ResolvedEvent, item);
            return ((ResolvedEvent) item).getEvent();
        }

        List<ResolvedEvent> untilCaughtUp() throws Exception {
            List<ResolvedEvent> found = new ArrayList<>();
            for (Object item = next(); !item.equals("live"); item = next()) {
                check(item instanceof ResolvedEvent, item);
                found.add((ResolvedEvent) item);
            }
            return found;
        }

        void stop() throws Exception {
            subscription.stop();
        }
    }

    static Told stream(String name, SubscribeToStreamOptions options) throws Exception {
        Told told = new Told();
        told.subscription = get(client.subscribeToStream(name, told, options));
        return told;
    }

    static Told all(SubscribeToAllOptions options) throws Exception {
        Told told = new Told();
        told.subscription = get(client.subscribeToAll(told, options));
        return told;
    }

    static void appends() throws Exception {
        String stream = named("java");
        WriteResult done = append(stream, StreamState.noStream(), event("Made", 0));
        check(done.getNextExpectedRevision().toRawLong() == 0, done);
        check(append(stream, StreamState.streamRevision(0), events("Made", 20)).getNextExpectedRevision().toRawLong() == 20);
        check(append(stream, StreamState.streamExists(), event("Made", 0)).getNextExpectedRevision().toRawLong() == 21);
        EventData same = event("Made", 0);
        WriteResult once = append(stream, StreamState.any(), same);
        WriteResult again = append(stream, StreamState.any(), same);
        check(again.getLogPosition().equals(once.getLogPosition()), again, once);
        check(again.getNextExpectedRevision().equals(once.getNextExpectedRevision()), again, once);
        for (StreamState state : List.of(StreamState.noStream(), StreamState.streamRevision(3), StreamState.streamRevision(99))) {
            Throwable error = failure(client.appendToStream(stream, expecting(state), event("Made", 1)));
            check(error instanceof WrongExpectedVersionException, error);
            WrongExpectedVersionException wrong = (WrongExpectedVersionException) error;
            check(wrong.getActualState().toRawLong() == 22, wrong);
        }
        fails(WrongExpectedVersionException.class, client.appendToStream(named("none"), expecting(StreamState.streamExists()), event("Made", 1)));
        EventData binary = EventData.builderAsBinary("Bytes", new byte[] {0, -1, 1}).build();
        append(stream, StreamState.any(), binary);
        RecordedEvent last = read(stream, ReadStreamOptions.get().backwards().fromEnd().maxCount(1)).get(0).getEvent();
        check(Arrays.equals(last.getEventData(), binary.getEventData()) && last.getEventId().equals(binary.getEventId()));
        check(last.getContentType().equals("application/octet-stream"), last.getContentType());
        check(Duration.between(last.getCreated(), Instant.now()).abs().toHours() == 0, last.getCreated());
    }

    static void reads() throws Exception {
        String stream = named("java");
        append(stream, StreamState.any(), events("Read", 100));
        ReadResult result = get(client.readStream(stream, ReadStreamOptions.get()));
        List<ResolvedEvent> found = result.getEvents();
        check(found.size() == 100 && new String(found.get(7).getEvent().getEventData()).equals("7"), found.size());
        check(new String(found.get(0).getEvent().getUserMetadata()).equals("{\"of\":\"java\"}"));
        check(numbers(read(stream, ReadStreamOptions.get().backwards().fromRevision(3))).equals("[3, 2, 1, 0]"));
        check(numbers(read(stream, ReadStreamOptions.get().fromRevision(90).maxCount(3))).equals("[90, 91, 92]"));
        fails(StreamNotFoundException.class, client.readStream(named("none"), ReadStreamOptions.get()));
        ReadAllOptions from = ReadAllOptions.get().fromPosition(found.get(98).getEvent().getPosition());
        List<ResolvedEvent> rest = get(client.readAll(from)).getEvents();
        check(rest.stream().filter(e -> e.getEvent().getStreamId().equals(stream)).count() == 2, rest.size());
        check(numbers(get(client.readAll(ReadAllOptions.get().backwards().fromEnd().maxCount(2))).getEvents()).equals("[99, 98]"));
    }

    static void deletes() throws Exception {
        String stream = named("java");
        DeleteStreamOptions at = DeleteStreamOptions.get().streamRevision(3);
        fails(WrongExpectedVersionException.class, client.deleteStream(stream, at));
        append(stream, StreamState.any(), events("Gone", 3));
        fails(WrongExpectedVersionException.class, client.deleteStream(stream, at));
        check(get(client.deleteStream(stream, DeleteStreamOptions.get().streamRevision(2))).getPosition() != null);
        fails(StreamNotFoundException.class, client.readStream(stream, ReadStreamOptions.get()));
        check(append(stream, StreamState.noStream(), event("Again", 0)).getNextExpectedRevision().toRawLong() == 3);
        check(numbers(read(stream, ReadStreamOptions.get())).equals("[3]"));
        get(client.tombstoneStream(stream));
        fails(StreamDeletedException.class, client.deleteStream(stream));
        // The client has no exception for these.
        for (CompletableFuture<?> refused : List.<CompletableFuture<?>>of(
                client.readStream(stream, ReadStreamOptions.get()), client.appendToStream(stream, event("Again", 0)))) {
            Throwable error = failure(refused);
            check(error.toString().contains("is deleted"), error);
        }
    }

    static void metadata() throws Exception {
        String stream = named("java");
        check(get(client.getStreamMetadata(stream)).getMaxCount() == null);
        append(stream, StreamState.any(), events("Kept", 10));
        StreamMetadata metadata = new StreamMetadata();
        metadata.setMaxCount(4L);
        metadata.setMaxAge(3600L);
        metadata.setCustomProperties(Map.of("note", "mine"));
        get(client.setStreamMetadata(stream, metadata));
        StreamMetadata found = get(client.getStreamMetadata(stream));
        check(found.getMaxCount() == 4 && found.getCustomProperties().get("note").equals("mine"), found);
        check(numbers(read(stream, ReadStreamOptions.get())).equals("[6, 7, 8, 9]"));
        metadata = new StreamMetadata();
        metadata.setTruncateBefore(8L);
        get(client.setStreamMetadata(stream, expecting(StreamState.streamRevision(0)), metadata));
        check(numbers(read(stream, ReadStreamOptions.get())).equals("[8, 9]"));
        fails(WrongExpectedVersionException.class, client.setStreamMetadata(stream, expecting(StreamState.streamRevision(0)), metadata));
    }

    static void subscriptions() throws Exception {
        String stream = named("java");
        append(stream, StreamState.any(), events("Told", 50));
        Told told = stream(stream, SubscribeToStreamOptions.get().fromStart());
        check(told.untilCaughtUp().size() == 50);
        append(stream, StreamState.any(), events("Told", 2));
        check(told.nextEvent().getRevision() == 50 && told.nextEvent().getRevision() == 51);
        told.stop();
        told = stream(stream, SubscribeToStreamOptions.get().fromRevision(49));
        check(numbers(told.untilCaughtUp()).equals("[50, 51]"));
        told.stop();
        told = stream(stream, SubscribeToStreamOptions.get().fromEnd());
        check(told.untilCaughtUp().isEmpty());
        append(stream, StreamState.any(), event("Told", 0));
        check(told.nextEvent().getRevision() == 52);
        get(client.tombstoneStream(stream));
        check(told.nextEvent().getEventType().equals("$streamDeleted"));
        Object end = told.next();
        check(end.toString().contains("is deleted"), end);

        String one = "one" + UUID.randomUUID().toString().replace("-", "");
        String two = "two" + UUID.randomUUID().toString().replace("-", "");
        Position position = append(one + "-a", StreamState.any(), events("Kind-A", 3)).getLogPosition();
        append(two + "-a", StreamState.any(), events("Kind-" + two, 4));
        told = all(SubscribeToAllOptions.get().fromPosition(position));
        check(numbers(told.untilCaughtUp()).equals("[0, 1, 2, 3]"));
        told.stop();
        told = all(SubscribeToAllOptions.get().fromEnd());
        check(told.untilCaughtUp().isEmpty());
        append(one + "-b", StreamState.any(), event("Kind-B", 0));
        check(told.nextEvent().getEventType().equals("Kind-B"));
        told.stop();
        for (SubscriptionFilterBuilder filter : List.of(
                SubscriptionFilter.newBuilder().addStreamNamePrefix(one + "-"),
                SubscriptionFilter.newBuilder().withStreamNameRegularExpression("^" + one),
                SubscriptionFilter.newBuilder().addEventTypePrefix("Kind-" + two),
                SubscriptionFilter.newBuilder().withEventTypeRegularExpression("^Kind-" + two + "$|^Never"))) {
            told = all(SubscribeToAllOptions.get().fromStart().filter(filter.build()));
            check(told.untilCaughtUp().size() == 4);
            told.stop();
        }
        List<Position> checkpoints = new CopyOnWriteArrayList<>();
        Checkpointer checkpointer = (subscription, at) -> {
            checkpoints.add(at);
            return CompletableFuture.completedFuture(null);
        };
        SubscriptionFilter filter = SubscriptionFilter.newBuilder()
                .withEventTypeRegularExpression("^[^\\$].*").withMaxWindow(5).withCheckpointer(checkpointer, 2).build();
        told = all(SubscribeToAllOptions.get().fromStart().filter(filter));
        List<ResolvedEvent> found = told.untilCaughtUp();
        check(found.size() > 60 && found.stream().noneMatch(e -> e.getEvent().getEventType().startsWith("$")), found.size());
        check(checkpoints.size() >= 6, checkpoints);
        for (int n = 1; n < checkpoints.size(); n++) check(checkpoints.get(n - 1).compareTo(checkpoints.get(n)) < 0, checkpoints);
        told.stop();
        told = stream("$ce-" + one, SubscribeToStreamOptions.get().fromStart().resolveLinkTos());
        found = told.untilCaughtUp();
        check(found.size() == 4 && found.get(3).getEvent().getEventType().equals("Kind-B"), found);
        check(found.get(3).getLink().getEventType().equals("$>"));
        told.stop();
    }

    static void many() throws Exception {
        String type = named("Many");
        List<Told> all = new ArrayList<>();
        for (int n = 0; n < 90; n++) {
            SubscriptionFilter filter = SubscriptionFilter.newBuilder().addEventTypePrefix(type).build();
            Told told = all(SubscribeToAllOptions.get().fromEnd().filter(filter));
            told.untilCaughtUp();
            all.add(told);
        }
        append(named("java"), StreamState.any(), events(type, 2));
        for (Told told : all) {
            check(new String(told.nextEvent().getEventData()).equals("0") && new String(told.nextEvent().getEventData()).equals("1"));
            told.stop();
        }
        String stream = named("java");
        List<CompletableFuture<WriteResult>> done = new ArrayList<>();
        for (EventData event : events("Pipelined", 3000)) done.add(client.appendToStream(stream, event));
        Set<Long> revisions = new HashSet<>();
        for (CompletableFuture<WriteResult> one : done) revisions.add(get(one).getNextExpectedRevision().toRawLong());
        check(revisions.size() == 3000, revisions.size());
        byte[] data = new byte[1_000_000];
        Arrays.fill(data, (byte) 7);
        append(named("large"), StreamState.any(), EventData.builderAsBinary("Large", data).build());
        RecordedEvent newest = get(client.readAll(ReadAllOptions.get().backwards().fromEnd().maxCount(1))).getEvents().get(0).getEvent();
        check(Arrays.equals(newest.getEventData(), data));
    }

    /** What a reader of a persistent subscription is told. */
    static class Read extends PersistentSubscriptionListener {
        final BlockingQueue<Object> items = new LinkedBlockingQueue<>();
        PersistentSubscription reader;
        int retries;

        public void onEvent(PersistentSubscription reader, int retries, ResolvedEvent event) {
            this.reader = reader;
            items.add(Map.entry(retries, event));
        }

        public void onCancelled(PersistentSubscription reader, Throwable error) {
            items.add(error == null ? "ended" : error);
        }

        ResolvedEvent next() throws Exception {
            Object item = items.poll(SECONDS, TimeUnit.SECONDS);
            if (item instanceof Throwable) throw new AssertionError("it was dropped", (Throwable) item);
            Map.Entry<?, ?> told = (Map.Entry<?, ?>) item;
            retries = (Integer) told.getKey();
            return (ResolvedEvent) told.getValue();
        }
    }

    static void persistent() throws Exception {
        KurrentDBPersistentSubscriptionsClient groups = KurrentDBPersistentSubscriptionsClient.from(client);
        String stream = named("java");
        CreatePersistentSubscriptionToStreamOptions settings = CreatePersistentSubscriptionToStreamOptions.get().fromStart().maxRetryCount(2);
        get(groups.createToStream(stream, "g", settings));
        failure(groups.createToStream(stream, "g", settings));
        append(stream, StreamState.any(), events("Made", 4));
        Read read = new Read();
        PersistentSubscription reader = get(groups.subscribeToStream(stream, "g", read));
        Set<String> got = new TreeSet<>();
        for (int n = 0; n < 5; n++) {
            ResolvedEvent event = read.next();
            long revision = event.getOriginalEvent().getRevision();
            got.add(revision + "/" + read.retries);
            if (revision == 1 && read.retries == 0) read.reader.nack(NackAction.Retry, "once more", event);
            else if (revision == 2) read.reader.nack(NackAction.Park, "not now", event);
            else read.reader.ack(event);
        }
        check(got.toString().equals("[0/0, 1/0, 1/1, 2/0, 3/0]"), got);
        while (get(groups.getInfoToStream(stream, "g")).get().getStats().getParkedMessageCount() != 1) Thread.sleep(20);
        get(groups.replayParkedMessagesToStream(stream, "g"));
        check(read.next().getOriginalEvent().getRevision() == 2);
        reader.stop();
        // To all events of a type.
        String kind = "Kind" + UUID.randomUUID().toString().replace("-", "");
        SubscriptionFilter filter = SubscriptionFilter.newBuilder().addEventTypePrefix(kind).build();
        get(groups.createToAll(kind, CreatePersistentSubscriptionToAllOptions.get().fromEnd().filter(filter)));
        append(stream, StreamState.any(), event("Other", 0), event(kind, 1));
        Read all = new Read();
        get(groups.subscribeToAll(kind, all));
        ResolvedEvent event = all.next();
        check(event.getOriginalEvent().getEventType().equals(kind));
        all.reader.ack(event);
        get(groups.deleteToAll(kind));
        check(!(all.items.poll(SECONDS, TimeUnit.SECONDS) instanceof Map.Entry));
        check(get(groups.listAll()).size() > 0);
        get(groups.restartSubsystem());
        check(get(groups.getInfoToStream(stream, "nobodys")).isEmpty());
    }

    static AppendStreamRequest part(String stream, StreamState state, int count) {
        List<EventData> made = new ArrayList<>();
        for (int n = 0; n < count; n++) made.add(event("Together", n));
        return new AppendStreamRequest(stream, made.iterator(), state);
    }

    static void together() throws Exception {
        String a = named("java"), b = named("java");
        var done = get(client.multiStreamAppend(List.of(part(a, StreamState.noStream(), 2), part(b, StreamState.any(), 1)).iterator()));
        check(done.getResults().size() == 2 && done.getPosition() > 0, done);
        Throwable error = failure(client.multiStreamAppend(List.of(part(a, StreamState.streamRevision(1), 1), part(b, StreamState.streamRevision(7), 1)).iterator()));
        check(error.toString().contains("ersion") || error.toString().contains("conflict"), error);
        check(get(client.readStream(a, ReadStreamOptions.get())).getEvents().size() == 2);
    }

    static void tls() throws Exception {
        KurrentDBClient tls = connect("CLIENT_KURRENTDB_TLS");
        String mine = named("app:java"), others = named("other");
        get(tls.appendToStream(mine, event("Mine", 0)));
        check(get(tls.readStream(mine, ReadStreamOptions.get())).getEvents().size() == 1);
        Throwable error = failure(tls.appendToStream(others, event("Mine", 0)));
        check(error.toString().contains("PERMISSION_DENIED"), error);
        // The credentials of a call go before those of the connection.
        get(tls.appendToStream(others, AppendToStreamOptions.get().authenticated("default", "secret"), event("Mine", 0)));
        check(get(tls.readStream(others, ReadStreamOptions.get().authenticated("default", "secret"))).getEvents().size() == 1);
        error = failure(tls.readStream(mine, ReadStreamOptions.get().authenticated("anna", "wrong")));
        check(error.toString().contains("UNAUTHENTICATED"), error);
        get(tls.shutdown());
        KurrentDBClient stranger = connect("CLIENT_KURRENTDB_OTHER");
        failure(stranger.appendToStream(mine, event("Mine", 1)));
        stranger.shutdown();
    }

    static void users() throws Exception {
        KurrentDBClient users = connect("CLIENT_KURRENTDB_USERS");
        String stream = named("app:java");
        get(users.appendToStream(stream, event("Mine", 0)));
        check(get(users.readStream(stream, ReadStreamOptions.get())).getEvents().size() == 1);
        for (CompletableFuture<?> refused : List.<CompletableFuture<?>>of(
                users.appendToStream("other", event("Mine", 0)),
                users.readStream("other", ReadStreamOptions.get()),
                users.readAll())) {
            Throwable error = failure(refused);
            check(error.toString().contains("PERMISSION_DENIED"), error);
        }
        Throwable error = failure(users.readStream(stream, ReadStreamOptions.get().authenticated("anna", "wrong")));
        check(error.toString().contains("UNAUTHENTICATED"), error);
        get(users.shutdown());
    }

    interface Step {
        void run() throws Exception;
    }

    public static void main(String[] args) throws Exception {
        Map<String, Step> steps = new LinkedHashMap<>();
        steps.put("append", KurrentDB::appends);
        steps.put("read", KurrentDB::reads);
        steps.put("delete", KurrentDB::deletes);
        steps.put("metadata", KurrentDB::metadata);
        steps.put("subscriptions", KurrentDB::subscriptions);
        steps.put("many", KurrentDB::many);
        steps.put("persistent", KurrentDB::persistent);
        steps.put("together", KurrentDB::together);
        steps.put("users", KurrentDB::users);
        steps.put("tls", KurrentDB::tls);
        for (Map.Entry<String, Step> step : steps.entrySet()) {
            if (args.length > 0 && !Arrays.asList(args).contains(step.getKey())) continue;
            try {
                step.getValue().run();
            } catch (Throwable error) {
                System.err.println(step.getKey() + ": " + error);
                error.printStackTrace();
                System.exit(1);
            }
        }
        get(client.shutdown());
        System.out.println("kurrentdb-client for Java: " + String.join(", ", steps.keySet()));
        System.exit(0);
    }
}
