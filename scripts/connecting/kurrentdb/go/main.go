// The client of KurrentDB for Go. CLIENT_KURRENTDB, and with _USERS, _TLS and _OTHER, are connection strings: the last has
// the authority of another server.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	k "github.com/kurrent-io/KurrentDB-Client-Go/kurrentdb"
)

var ctx, _ = context.WithTimeout(context.Background(), 120*time.Second)

// Ends the program where something is not as it should be.
func check(is bool, what ...any) {
	if !is {
		panic(fmt.Sprint(what...))
	}
}

func must[T any](value T, err error) T {
	check(err == nil, err)
	return value
}

func code(err error) k.ErrorCode {
	check(err != nil, "there is no error")
	var known *k.Error
	check(errors.As(err, &known), err)
	return known.Code()
}

func connect(text string) *k.Client {
	settings := must(k.ParseConnectionString(text))
	settings.Logger = k.NoopLogging()
	return must(k.NewClient(settings))
}

func named(prefix string) string { return prefix + "-" + uuid.NewString() }

func event(name string, n int) k.EventData {
	return k.EventData{EventID: uuid.New(), EventType: name, ContentType: k.ContentTypeJson, Data: []byte(fmt.Sprint(n)), Metadata: []byte(`{"of":"go"}`)}
}

func events(name string, count int) []k.EventData {
	made := make([]k.EventData, count)
	for n := range made {
		made[n] = event(name, n)
	}
	return made
}

type client struct{ *k.Client }

func (c client) append(stream string, state k.StreamState, made ...k.EventData) (*k.WriteResult, error) {
	return c.AppendToStream(ctx, stream, k.AppendToStreamOptions{StreamState: state}, made...)
}

func all(stream *k.ReadStream, err error) ([]*k.ResolvedEvent, error) {
	if err != nil {
		return nil, err
	}
	defer stream.Close()
	var found []*k.ResolvedEvent
	for {
		event, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return found, nil
		}
		if err != nil {
			return found, err
		}
		found = append(found, event)
	}
}

func (c client) read(stream string, options k.ReadStreamOptions, count uint64) ([]*k.ResolvedEvent, error) {
	return all(c.ReadStream(ctx, stream, options, count))
}

func numbers(found []*k.ResolvedEvent) string {
	numbers := []uint64{}
	for _, event := range found {
		numbers = append(numbers, event.OriginalEvent().EventNumber)
	}
	return fmt.Sprint(numbers)
}

func untilCaughtUp(subscription *k.Subscription) (found []*k.ResolvedEvent, checkpoints []uint64) {
	for {
		told := subscription.Recv()
		switch {
		case told.EventAppeared != nil:
			found = append(found, told.EventAppeared)
		case told.CheckPointReached != nil:
			checkpoints = append(checkpoints, told.CheckPointReached.Commit)
		case told.CaughtUp != nil:
			return
		default:
			check(false, "dropped: ", told.SubscriptionDropped)
		}
	}
}

func nextEvent(subscription *k.Subscription) *k.ResolvedEvent {
	for {
		told := subscription.Recv()
		check(told.SubscriptionDropped == nil, told.SubscriptionDropped)
		if told.EventAppeared != nil {
			return told.EventAppeared
		}
	}
}

func appends(c client) {
	stream := named("go")
	done := must(c.append(stream, k.NoStream{}, event("Made", 0)))
	check(done.NextExpectedVersion == 0 && done.CommitPosition == done.PreparePosition)
	check(must(c.append(stream, k.Revision(0), events("Made", 20)...)).NextExpectedVersion == 20)
	check(must(c.append(stream, k.StreamExists{}, event("Made", 0))).NextExpectedVersion == 21)
	same := event("Made", 0)
	once := must(c.append(stream, k.Any{}, same))
	check(*must(c.append(stream, k.Any{}, same)) == *once)
	for _, state := range []k.StreamState{k.NoStream{}, k.Revision(3), k.Revision(99)} {
		_, err := c.append(stream, state, event("Made", 1))
		check(code(err) == k.ErrorCodeWrongExpectedVersion, err)
	}
	_, err := c.append(named("none"), k.StreamExists{}, event("Made", 1))
	check(code(err) == k.ErrorCodeWrongExpectedVersion, err)
	binary := k.EventData{EventID: uuid.New(), EventType: "Bytes", Data: []byte{0, 255, 1}}
	must(c.append(stream, k.Any{}, binary))
	last := must(c.read(stream, k.ReadStreamOptions{Direction: k.Backwards, From: k.End{}}, 1))[0].Event
	check(bytes.Equal(last.Data, binary.Data) && last.EventID == binary.EventID && last.ContentType == "application/octet-stream")
	check(time.Since(last.CreatedDate).Abs() < time.Hour, last.CreatedDate)
	must(c.append(named("go"), k.NoStream{}))
}

func reads(c client) {
	stream := named("go")
	must(c.append(stream, k.Any{}, events("Read", 100)...))
	found := must(c.read(stream, k.ReadStreamOptions{}, math.MaxUint64))
	check(len(found) == 100 && found[99].Event.EventNumber == 99 && string(found[7].Event.Data) == "7" && string(found[0].Event.UserMetadata) == `{"of":"go"}`)
	back := k.ReadStreamOptions{Direction: k.Backwards, From: k.Revision(3)}
	check(numbers(must(c.read(stream, back, 10))) == "[3 2 1 0]")
	check(numbers(must(c.read(stream, k.ReadStreamOptions{From: k.Revision(90)}, 3))) == "[90 91 92]")
	check(len(must(c.read(stream, k.ReadStreamOptions{From: k.Revision(500)}, 3))) == 0)
	_, err := c.read(named("none"), k.ReadStreamOptions{}, 5)
	check(code(err) == k.ErrorCodeResourceNotFound, err)
	from := found[98].OriginalEvent().Position
	mine := 0
	for _, event := range must(all(c.ReadAll(ctx, k.ReadAllOptions{From: from}, math.MaxUint64))) {
		if event.Event.StreamID == stream {
			mine++
		}
	}
	check(mine == 2, mine)
	newest := k.ReadAllOptions{Direction: k.Backwards, From: k.End{}}
	check(numbers(must(all(c.ReadAll(ctx, newest, 2)))) == "[99 98]")
}

// Links that it has written itself: to an event, to none, and an event between.
func links(c client) {
	target, stream := named("go"), named("go-links")
	must(c.append(target, k.Any{}, events("Made", 3)...))
	link := func(data string) k.EventData {
		return k.EventData{EventID: uuid.New(), EventType: "$>", ContentType: k.ContentTypeBinary, Data: []byte(data)}
	}
	must(c.append(stream, k.Any{}, link("2@"+target), link("9@"+target), event("Between", 0)))
	found := must(c.read(stream, k.ReadStreamOptions{ResolveLinkTos: true}, 99))
	check(numbers(found) == "[0 1 2]", numbers(found))
	check(found[0].Link != nil && found[0].Event.EventNumber == 2 && found[0].Event.StreamID == target, found[0].Event)
	check(found[1].Link != nil && found[1].Event == nil && found[2].Link == nil)
	told := must(c.SubscribeToStream(ctx, stream, k.SubscribeToStreamOptions{From: k.End{}, ResolveLinkTos: true}))
	untilCaughtUp(told)
	must(c.append(stream, k.Any{}, link("1@"+target)))
	live := told.Recv().EventAppeared
	check(live != nil && live.Link.EventNumber == 3 && live.Event.EventNumber == 1, live)
	told.Close()
}

func deletes(c client) {
	stream := named("go")
	// The client has no code for this.
	isWrong := func(err error) bool { return err != nil && strings.Contains(err.Error(), "WrongExpectedVersion") }
	_, err := c.DeleteStream(ctx, stream, k.DeleteStreamOptions{StreamState: k.Revision(3)})
	check(isWrong(err), err)
	must(c.append(stream, k.Any{}, events("Gone", 3)...))
	_, err = c.DeleteStream(ctx, stream, k.DeleteStreamOptions{StreamState: k.Revision(1)})
	check(isWrong(err), err)
	check(must(c.DeleteStream(ctx, stream, k.DeleteStreamOptions{StreamState: k.Revision(2)})).Position.Commit > 0)
	_, err = c.read(stream, k.ReadStreamOptions{}, 5)
	check(code(err) == k.ErrorCodeResourceNotFound, err)
	check(must(c.append(stream, k.NoStream{}, event("Again", 0))).NextExpectedVersion == 3)
	must(c.TombstoneStream(ctx, stream, k.TombstoneStreamOptions{StreamState: k.Any{}}))
	_, err = c.read(stream, k.ReadStreamOptions{}, 5)
	check(code(err) == k.ErrorCodeStreamDeleted, err)
	_, err = c.append(stream, k.Any{}, event("Again", 0))
	check(code(err) == k.ErrorCodeStreamDeleted, err)
}

func metadata(c client) {
	stream := named("go")
	_, err := c.GetStreamMetadata(ctx, stream, k.ReadStreamOptions{})
	check(strings.Contains(err.Error(), "is not found"), err)
	must(c.append(stream, k.Any{}, events("Kept", 10)...))
	meta := k.StreamMetadata{}
	meta.SetMaxCount(4)
	meta.SetMaxAge(time.Hour)
	meta.AddCustomProperty("note", "mine")
	must(c.SetStreamMetadata(ctx, stream, k.AppendToStreamOptions{StreamState: k.NoStream{}}, meta))
	found := must(c.GetStreamMetadata(ctx, stream, k.ReadStreamOptions{}))
	check(*found.MaxCount() == 4 && *found.MaxAge() == time.Hour && found.CustomProperty("note") == "mine")
	check(numbers(must(c.read(stream, k.ReadStreamOptions{}, 100))) == "[6 7 8 9]")
	meta = k.StreamMetadata{}
	meta.SetTruncateBefore(8)
	must(c.SetStreamMetadata(ctx, stream, k.AppendToStreamOptions{StreamState: k.StreamExists{}}, meta))
	check(numbers(must(c.read(stream, k.ReadStreamOptions{}, 100))) == "[8 9]")
}

func subscriptions(c client) {
	stream := named("go")
	must(c.append(stream, k.Any{}, events("Told", 50)...))
	told := must(c.SubscribeToStream(ctx, stream, k.SubscribeToStreamOptions{From: k.Start{}}))
	found, _ := untilCaughtUp(told)
	check(len(found) == 50)
	must(c.append(stream, k.Any{}, events("Told", 2)...))
	check(nextEvent(told).Event.EventNumber == 50 && nextEvent(told).Event.EventNumber == 51)
	told.Close()
	check(told.Recv().SubscriptionDropped != nil)
	told = must(c.SubscribeToStream(ctx, stream, k.SubscribeToStreamOptions{From: k.Revision(49)}))
	found, _ = untilCaughtUp(told)
	check(numbers(found) == "[50 51]")
	told.Close()
	told = must(c.SubscribeToStream(ctx, stream, k.SubscribeToStreamOptions{From: k.End{}}))
	found, _ = untilCaughtUp(told)
	check(len(found) == 0)
	must(c.append(stream, k.Any{}, event("Told", 0)))
	check(nextEvent(told).Event.EventNumber == 52)
	must(c.TombstoneStream(ctx, stream, k.TombstoneStreamOptions{}))
	check(nextEvent(told).Event.EventType == "$streamDeleted")
	check(code(told.Recv().SubscriptionDropped.Error) == k.ErrorCodeStreamDeleted)
	empty := must(c.SubscribeToStream(ctx, named("none"), k.SubscribeToStreamOptions{From: k.Start{}}))
	found, _ = untilCaughtUp(empty)
	check(len(found) == 0)
	empty.Close()

	one, two := "one"+strings.ReplaceAll(uuid.NewString(), "-", ""), "two"+strings.ReplaceAll(uuid.NewString(), "-", "")
	position := must(c.append(one+"-a", k.Any{}, events("Kind-A", 3)...))
	must(c.append(two+"-a", k.Any{}, events("Kind-"+two, 4)...))
	after := k.SubscribeToAllOptions{From: k.Position{Commit: position.CommitPosition, Prepare: position.PreparePosition}}
	told = must(c.SubscribeToAll(ctx, after))
	found, _ = untilCaughtUp(told)
	check(numbers(found) == "[0 1 2 3]", numbers(found))
	told.Close()
	told = must(c.SubscribeToAll(ctx, k.SubscribeToAllOptions{From: k.End{}}))
	found, _ = untilCaughtUp(told)
	check(len(found) == 0)
	must(c.append(one+"-b", k.Any{}, event("Kind-B", 0)))
	check(nextEvent(told).Event.EventType == "Kind-B")
	told.Close()
	for count, filter := range map[int][]*k.SubscriptionFilter{
		8: {{Type: k.StreamFilterType, Prefixes: []string{one + "-", two + "-"}}},
		4: {
			{Type: k.StreamFilterType, Regex: "^" + one},
			{Type: k.EventFilterType, Prefixes: []string{"Kind-" + two}},
			{Type: k.EventFilterType, Regex: "^Kind-" + two + "$|^Never"},
		},
	} {
		for _, filter := range filter {
			told := must(c.SubscribeToAll(ctx, k.SubscribeToAllOptions{From: k.Start{}, Filter: filter}))
			found, _ := untilCaughtUp(told)
			check(len(found) == count, len(found), *filter)
			told.Close()
		}
	}
	told = must(c.SubscribeToAll(ctx, k.SubscribeToAllOptions{From: k.Start{}, Filter: k.ExcludeSystemEventsFilter(), MaxSearchWindow: 5, CheckpointInterval: 2}))
	found, checkpoints := untilCaughtUp(told)
	check(len(found) > 60 && len(checkpoints) >= 6, len(found), checkpoints)
	for n, event := range found {
		check(!strings.HasPrefix(event.Event.EventType, "$"), n)
	}
	for n := range checkpoints[1:] {
		check(checkpoints[n] < checkpoints[n+1], checkpoints)
	}
	told.Close()
	told = must(c.SubscribeToStream(ctx, "$ce-"+one, k.SubscribeToStreamOptions{From: k.Start{}, ResolveLinkTos: true}))
	found, _ = untilCaughtUp(told)
	check(len(found) == 4 && found[3].Event.EventType == "Kind-B" && found[3].Link.EventType == "$>", len(found))
	told.Close()
}

func many(c client) {
	name := named("Many")
	var subscriptions []*k.Subscription
	for range 90 {
		filter := &k.SubscriptionFilter{Type: k.EventFilterType, Prefixes: []string{name}}
		told := must(c.SubscribeToAll(ctx, k.SubscribeToAllOptions{From: k.End{}, Filter: filter}))
		untilCaughtUp(told)
		subscriptions = append(subscriptions, told)
	}
	must(c.append(named("go"), k.Any{}, events(name, 2)...))
	for _, told := range subscriptions {
		check(string(nextEvent(told).Event.Data) == "0" && string(nextEvent(told).Event.Data) == "1")
		told.Close()
	}
	stream := named("go")
	var wait sync.WaitGroup
	failed := make(chan error, 3000)
	for n := range 3000 {
		wait.Go(func() {
			if _, err := c.append(stream, k.Any{}, event("Pipelined", n)); err != nil {
				failed <- err
			}
		})
	}
	wait.Wait()
	check(len(failed) == 0, len(failed))
	check(len(must(c.read(stream, k.ReadStreamOptions{}, math.MaxUint64))) == 3000)
	data := bytes.Repeat([]byte{7}, 1_000_000)
	must(c.append(named("large"), k.Any{}, k.EventData{EventID: uuid.New(), EventType: "Large", Data: data}))
	newest := must(all(c.ReadAll(ctx, k.ReadAllOptions{Direction: k.Backwards, From: k.End{}}, 1)))
	check(bytes.Equal(newest[0].Event.Data, data))
}

func persistent(c client) {
	stream := named("go")
	settings := k.SubscriptionSettingsDefault()
	settings.MaxRetryCount = 2
	options := k.PersistentStreamSubscriptionOptions{Settings: &settings, StartFrom: k.Start{}}
	check(c.CreatePersistentSubscription(ctx, stream, "g", options) == nil)
	check(code(c.CreatePersistentSubscription(ctx, stream, "g", options)) == k.ErrorCodeResourceAlreadyExists)
	must(c.append(stream, k.Any{}, events("Made", 4)...))
	reader := must(c.SubscribeToPersistentSubscription(ctx, stream, "g", k.SubscribeToPersistentSubscriptionOptions{BufferSize: 2}))
	next := func(reader *k.PersistentSubscription) *k.EventAppeared {
		for {
			told := reader.Recv()
			check(told.SubscriptionDropped == nil, told.SubscriptionDropped)
			if told.EventAppeared != nil {
				return told.EventAppeared
			}
		}
	}
	got := map[string]int{}
	for range 5 {
		told := next(reader)
		data := string(told.Event.Event.Data)
		got[fmt.Sprint(data, "/", told.RetryCount)]++
		switch {
		case data == "1" && told.RetryCount == 0:
			check(reader.Nack("once more", k.NackActionRetry, told.Event) == nil)
		case data == "2":
			check(reader.Nack("not now", k.NackActionPark, told.Event) == nil)
		default:
			check(reader.Ack(told.Event) == nil)
		}
	}
	check(fmt.Sprint(got) == "map[0/0:1 1/0:1 1/1:1 2/0:1 3/0:1]", got)
	for must(c.GetPersistentSubscriptionInfo(ctx, stream, "g", k.GetPersistentSubscriptionOptions{})).Stats.ParkedMessagesCount != 1 {
	}
	check(c.ReplayParkedMessages(ctx, stream, "g", k.ReplayParkedMessagesOptions{}) == nil)
	told := next(reader)
	check(string(told.Event.Event.Data) == "2" && reader.Ack(told.Event) == nil)
	reader.Close()
	// To all events of a type.
	kind := "Kind" + strings.ReplaceAll(uuid.NewString(), "-", "")
	filter := &k.SubscriptionFilter{Type: k.EventFilterType, Prefixes: []string{kind}}
	check(c.CreatePersistentSubscriptionToAll(ctx, kind, k.PersistentAllSubscriptionOptions{StartFrom: k.End{}, Filter: filter}) == nil)
	must(c.append(stream, k.Any{}, event("Other", 0), event(kind, 1), event(kind, 2)))
	reader = must(c.SubscribeToPersistentSubscriptionToAll(ctx, kind, k.SubscribeToPersistentSubscriptionOptions{}))
	for n := 1; n <= 2; n++ {
		told := next(reader)
		check(told.Event.Event.EventType == kind && string(told.Event.Event.Data) == fmt.Sprint(n))
		check(reader.Ack(told.Event) == nil)
	}
	check(c.DeletePersistentSubscriptionToAll(ctx, kind, k.DeletePersistentSubscriptionOptions{}) == nil)
	check(reader.Recv().SubscriptionDropped != nil)
	check(len(must(c.ListAllPersistentSubscriptions(ctx, k.ListPersistentSubscriptionsOptions{}))) > 0)
	check(c.RestartPersistentSubscriptionSubsystem(ctx, k.RestartPersistentSubscriptionSubsystemOptions{}) == nil)
	_, err := c.GetPersistentSubscriptionInfo(ctx, stream, "nobodys", k.GetPersistentSubscriptionOptions{})
	check(code(err) == k.ErrorCodeResourceNotFound, err)
}

func together(c client) {
	a, b, missing := named("go"), named("go"), named("go")
	part := func(stream string, state k.StreamState, count int) k.AppendStreamRequest {
		return k.AppendStreamRequest{StreamName: stream, Events: slices.Values(events("Together", count)), ExpectedStreamState: state}
	}
	done := must(c.MultiStreamAppend(ctx, slices.Values([]k.AppendStreamRequest{part(a, k.NoStream{}, 2), part(b, k.Any{}, 1)})))
	check(len(done.Responses) == 2 && done.Responses[0].StreamRevision == 1 && done.Position > 0, done)
	_, err := c.MultiStreamAppend(ctx, slices.Values([]k.AppendStreamRequest{part(a, k.Revision(1), 1), part(b, k.Revision(7), 1)}))
	check(code(err) == k.ErrorCodeStreamRevisionConflict, err)
	record := func(stream string) k.AppendRecord {
		return k.AppendRecord{Stream: stream, Record: event("Together", 9)}
	}
	must(c.AppendRecords(ctx, []k.AppendRecord{record(a), record(b), record(a)}, k.StreamStateCheck{Stream: missing, ExpectedState: k.NoStream{}}))
	check(numbers(must(c.read(a, k.ReadStreamOptions{}, 9))) == "[0 1 2 3]")
	_, err = c.AppendRecords(ctx, []k.AppendRecord{record(a)}, k.StreamStateCheck{Stream: missing, ExpectedState: k.StreamExists{}})
	check(code(err) == k.ErrorCodeAppendConsistencyViolation, err)
	var violated *k.AppendConsistencyViolationError
	check(errors.As(err, &violated) && violated.Violations[0].Stream == missing, err)
	check(len(must(c.read(a, k.ReadStreamOptions{}, 9))) == 4)
}

func overTLS(client) {
	c := client{connect(os.Getenv("CLIENT_KURRENTDB_TLS"))}
	mine, others := named("app:go"), named("other")
	must(c.append(mine, k.Any{}, event("Mine", 0)))
	check(len(must(c.read(mine, k.ReadStreamOptions{}, 9))) == 1)
	_, err := c.append(others, k.Any{}, event("Mine", 0))
	check(code(err) == k.ErrorCodeAccessDenied, err)
	// The credentials of a call go before those of the connection.
	all := &k.Credentials{Login: "default", Password: "secret"}
	must(c.AppendToStream(ctx, others, k.AppendToStreamOptions{Authenticated: all}, event("Mine", 0)))
	check(len(must(c.read(others, k.ReadStreamOptions{Authenticated: all}, 9))) == 1)
	wrong := &k.Credentials{Login: "anna", Password: "wrong"}
	_, err = c.read(mine, k.ReadStreamOptions{Authenticated: wrong}, 9)
	check(code(err) == k.ErrorCodeUnauthenticated || code(err) == k.ErrorCodeAccessDenied, err)
	c.Close()
	stranger := client{connect(os.Getenv("CLIENT_KURRENTDB_OTHER"))}
	_, err = stranger.append(mine, k.Any{}, event("Mine", 1))
	check(err != nil)
	stranger.Close()
}

func users(client) {
	// Over plaintext this client sends no credentials.
	c := client{connect(os.Getenv("CLIENT_KURRENTDB_USERS"))}
	_, err := c.append("app:go", k.Any{}, event("Mine", 0))
	check(code(err) == k.ErrorCodeAccessDenied || code(err) == k.ErrorCodeUnauthenticated, err)
	_, err = c.read("other", k.ReadStreamOptions{}, 1)
	check(code(err) == k.ErrorCodeAccessDenied || code(err) == k.ErrorCodeUnauthenticated, err)
	c.Close()
}

func main() {
	c := client{connect(os.Getenv("CLIENT_KURRENTDB"))}
	var done []string
	for _, step := range []struct {
		name string
		run  func(client)
	}{{"append", appends}, {"read", reads}, {"links", links}, {"delete", deletes}, {"metadata", metadata}, {"subscriptions", subscriptions}, {"many", many}, {"persistent", persistent}, {"together", together}, {"users", users}, {"tls", overTLS}} {
		func() {
			defer func() {
				if what := recover(); what != nil {
					fmt.Fprintf(os.Stderr, "%s: %v\n%s", step.name, what, debug.Stack())
					os.Exit(1)
				}
			}()
			step.run(c)
		}()
		done = append(done, step.name)
	}
	c.Close()
	fmt.Println("KurrentDB-Client-Go:", strings.Join(done, ", "))
}
