// redsync and redis_rate, over go-redis: a lock that only one has, and a rate.
package main

import (
	"context"
	"log"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/go-redis/redis_rate/v10"
	"github.com/go-redsync/redsync/v4"
	"github.com/go-redsync/redsync/v4/redis/goredis/v9"
	"github.com/redis/go-redis/v9"
)

func main() {
	db, _ := strconv.Atoi(os.Getenv("DB"))
	client := redis.NewClient(&redis.Options{Addr: "127.0.0.1:" + os.Getenv("PORT"), DB: db})
	defer client.Close()
	locks := redsync.New(goredis.NewPool(client))
	var group sync.WaitGroup
	count := 0
	for n := 0; n < 8; n++ {
		group.Add(1)
		go func() {
			defer group.Done()
			mutex := locks.NewMutex("lock", redsync.WithTries(1000), redsync.WithRetryDelay(5*time.Millisecond))
			if err := mutex.Lock(); err != nil {
				log.Fatal(err)
			}
			seen := count
			time.Sleep(5 * time.Millisecond)
			count = seen + 1
			if ok, err := mutex.Unlock(); !ok || err != nil {
				log.Fatal(ok, err)
			}
		}()
	}
	group.Wait()
	if count != 8 {
		log.Fatalf("%d of 8 had the lock", count)
	}
	limiter := redis_rate.NewLimiter(client)
	allowed := 0
	for n := 0; n < 5; n++ {
		result, err := limiter.Allow(context.Background(), "user", redis_rate.PerMinute(3))
		if err != nil {
			log.Fatal(err)
		}
		allowed += result.Allowed
	}
	if allowed != 3 {
		log.Fatalf("%d of 5 were allowed", allowed)
	}
}
