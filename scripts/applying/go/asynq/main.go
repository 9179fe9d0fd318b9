// asynq: tasks by a server, unique, delayed, retried and archived.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/hibiken/asynq"
)

func main() {
	db, _ := strconv.Atoi(os.Getenv("DB"))
	redis := asynq.RedisClientOpt{Addr: "127.0.0.1:" + os.Getenv("PORT"), DB: db}
	client := asynq.NewClient(redis)
	defer client.Close()
	for n := 0; n < 20; n++ {
		must(client.Enqueue(asynq.NewTask("add", []byte{byte(n)})))
	}
	must(client.Enqueue(asynq.NewTask("add", []byte{20}), asynq.ProcessIn(time.Second)))
	must(client.Enqueue(asynq.NewTask("fail", nil), asynq.MaxRetry(0)))
	must(client.Enqueue(asynq.NewTask("unique", nil), asynq.Unique(time.Minute), asynq.ProcessIn(time.Hour)))
	if _, err := client.Enqueue(asynq.NewTask("unique", nil), asynq.Unique(time.Minute)); !errors.Is(err, asynq.ErrDuplicateTask) {
		log.Fatalf("a task is unique: %v", err)
	}
	var total, count atomic.Int64
	mux := asynq.NewServeMux()
	mux.HandleFunc("add", func(_ context.Context, task *asynq.Task) error {
		total.Add(int64(task.Payload()[0]))
		count.Add(1)
		return nil
	})
	mux.HandleFunc("fail", func(context.Context, *asynq.Task) error { return fmt.Errorf("on purpose") })
	server := asynq.NewServer(redis, asynq.Config{Concurrency: 4, LogLevel: asynq.FatalLevel, DelayedTaskCheckInterval: 200 * time.Millisecond})
	if err := server.Start(mux); err != nil {
		log.Fatal(err)
	}
	inspector := asynq.NewInspector(redis)
	defer inspector.Close()
	var info *asynq.QueueInfo
	for n := 0; n < 300; n++ {
		info, _ = inspector.GetQueueInfo("default")
		if count.Load() == 21 && info != nil && info.Archived == 1 {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	if count.Load() != 21 || total.Load() != 210 || info.Archived != 1 || info.Scheduled != 1 {
		log.Fatalf("%d tasks, total %d, %+v", count.Load(), total.Load(), info)
	}
	server.Shutdown()
}

func must(_ *asynq.TaskInfo, err error) {
	if err != nil {
		log.Fatal(err)
	}
}
