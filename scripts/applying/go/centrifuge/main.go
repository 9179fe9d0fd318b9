// centrifuge: publications over two nodes, with history and presence.
package main

import (
	"context"
	"log"
	"os"
	"strconv"
	"time"

	"github.com/centrifugal/centrifuge"
)

func node(address string) (*centrifuge.Node, chan string) {
	made, err := centrifuge.New(centrifuge.Config{LogLevel: centrifuge.LogLevelError, LogHandler: func(entry centrifuge.LogEntry) { log.Print(entry) }})
	check(err)
	shard, err := centrifuge.NewRedisShard(made, centrifuge.RedisShardConfig{Address: address})
	check(err)
	broker, err := centrifuge.NewRedisBroker(made, centrifuge.RedisBrokerConfig{Shards: []*centrifuge.RedisShard{shard}})
	check(err)
	made.SetBroker(broker)
	presence, err := centrifuge.NewRedisPresenceManager(made, centrifuge.RedisPresenceManagerConfig{Shards: []*centrifuge.RedisShard{shard}})
	check(err)
	made.SetPresenceManager(presence)
	heard := make(chan string, 100)
	made.OnNotification(func(event centrifuge.NotificationEvent) { heard <- string(event.Data) })
	check(made.Run())
	return made, heard
}

func main() {
	address := "redis://127.0.0.1:" + os.Getenv("PORT") + "/" + os.Getenv("DB")
	one, _ := node(address)
	two, heard := node(address)
	time.Sleep(500 * time.Millisecond)
	for n := 0; n < 10; n++ {
		_, err := one.Publish("room", []byte(`{"n":`+strconv.Itoa(n)+`}`), centrifuge.WithHistory(100, time.Minute))
		check(err)
	}
	history, err := two.History("room", centrifuge.WithLimit(centrifuge.NoLimit))
	check(err)
	if len(history.Publications) != 10 || history.Offset != 10 {
		log.Fatalf("%d publications, offset %d", len(history.Publications), history.Offset)
	}
	check(one.Notify("op", []byte("hello"), ""))
	select {
	case text := <-heard:
		if text != "hello" {
			log.Fatalf("heard %q", text)
		}
	case <-time.After(10 * time.Second):
		log.Fatal("the other node heard nothing")
	}
	check(one.Shutdown(context.Background()))
	check(two.Shutdown(context.Background()))
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
