// rueidis with its defaults: what it caches is never older than what was written.
package main

import (
	"context"
	"log"
	"os"
	"strconv"
	"time"

	"github.com/redis/rueidis"
)

func main() {
	db, _ := strconv.Atoi(os.Getenv("DB"))
	option := rueidis.ClientOption{InitAddress: []string{"127.0.0.1:" + os.Getenv("PORT")}, SelectDB: db}
	reader, err := rueidis.NewClient(option)
	check(err)
	defer reader.Close()
	writer, err := rueidis.NewClient(option)
	check(err)
	defer writer.Close()
	ctx := context.Background()
	for n := 0; n < 50; n++ {
		check(writer.Do(ctx, writer.B().Set().Key("key").Value(strconv.Itoa(n)).Build()).Error())
		fresh := false
		for tries := 0; tries < 200 && !fresh; tries++ {
			got, err := reader.DoCache(ctx, reader.B().Get().Key("key").Cache(), time.Minute).ToString()
			check(err)
			fresh = got == strconv.Itoa(n)
			if !fresh {
				time.Sleep(5 * time.Millisecond)
			}
		}
		if !fresh {
			log.Fatalf("the invalidation of %d has not come", n)
		}
	}
	if !reader.DoCache(ctx, reader.B().Get().Key("key").Cache(), time.Minute).IsCacheHit() {
		log.Fatal("nothing is cached")
	}
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
