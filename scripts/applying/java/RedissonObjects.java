// Redisson: locks, semaphores, a rate limiter, a map with time to live, a queue that is waited for, delayed elements, a topic,
// a bloom filter and an atomic counter.

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.redisson.Redisson;
import org.redisson.api.RAtomicLong;
import org.redisson.api.RBlockingQueue;
import org.redisson.api.RBloomFilter;
import org.redisson.api.RDelayedQueue;
import org.redisson.api.RLock;
import org.redisson.api.RMapCache;
import org.redisson.api.RRateLimiter;
import org.redisson.api.RSemaphore;
import org.redisson.api.RTopic;
import org.redisson.api.RateType;
import org.redisson.api.RedissonClient;
import org.redisson.config.Config;

public class RedissonObjects {
    static int counted = 0;

    static void check(boolean isSo, String what) {
        if (!isSo) {
            throw new AssertionError(what);
        }
    }

    public static void main(String[] args) throws Exception {
        Config config = new Config();
        config.useSingleServer()
            .setAddress("redis://127.0.0.1:" + System.getenv("PORT"))
            .setDatabase(Integer.parseInt(System.getenv("DB")));
        RedissonClient client = Redisson.create(config);

        List<Thread> threads = new ArrayList<>();
        for (int n = 0; n < 8; n++) {
            Thread thread = new Thread(() -> {
                RLock lock = client.getLock("lock");
                for (int m = 0; m < 10; m++) {
                    lock.lock();
                    counted = counted + 1;
                    lock.unlock();
                }
            });
            threads.add(thread);
            thread.start();
        }
        for (Thread thread : threads) {
            thread.join();
        }
        check(counted == 80, "the lock: " + counted);
        RLock fair = client.getFairLock("fair");
        check(fair.tryLock(5, 10, TimeUnit.SECONDS), "the fair lock");
        fair.unlock();

        RSemaphore semaphore = client.getSemaphore("semaphore");
        check(semaphore.trySetPermits(2) && semaphore.tryAcquire() && semaphore.tryAcquire(), "permits");
        check(!semaphore.tryAcquire(), "no third permit");

        RRateLimiter limiter = client.getRateLimiter("limiter");
        limiter.trySetRate(RateType.OVERALL, 3, Duration.ofMinutes(1));
        int allowed = 0;
        for (int n = 0; n < 5; n++) {
            allowed += limiter.tryAcquire() ? 1 : 0;
        }
        check(allowed == 3, "the rate: " + allowed);

        RMapCache<String, String> map = client.getMapCache("map");
        map.put("short", "x", 300, TimeUnit.MILLISECONDS);
        map.put("long", "y");
        check("x".equals(map.get("short")), "the map");
        Thread.sleep(500);
        check(map.get("short") == null && "y".equals(map.get("long")), "what has expired");

        RBlockingQueue<String> queue = client.getBlockingQueue("queue");
        RDelayedQueue<String> delayed = client.getDelayedQueue(queue);
        delayed.offer("later", 500, TimeUnit.MILLISECONDS);
        queue.offer("now");
        check("now".equals(queue.poll(10, TimeUnit.SECONDS)), "the queue");
        check("later".equals(queue.poll(10, TimeUnit.SECONDS)), "the delayed queue");
        delayed.destroy();

        RTopic topic = client.getTopic("topic");
        CountDownLatch heard = new CountDownLatch(3);
        topic.addListener(String.class, (channel, text) -> heard.countDown());
        for (int n = 0; n < 3; n++) {
            topic.publish("hello");
        }
        check(heard.await(10, TimeUnit.SECONDS), "the topic");

        RBloomFilter<String> filter = client.getBloomFilter("filter");
        check(filter.tryInit(1000, 0.01) && filter.add("a") && filter.contains("a") && !filter.contains("b"), "the filter");
        RAtomicLong number = client.getAtomicLong("number");
        check(number.addAndGet(5) == 5 && number.compareAndSet(5, 7) && number.get() == 7, "the counter");
        client.shutdown();
    }
}
