import java.util.Random;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicInteger;

/** Many threads that do not run: parked, sleepers. */
final class Wait {
  static void parked(int n) throws Exception {
    var gate = new CountDownLatch(1);
    var arrived = new AtomicInteger();
    var threads = new Thread[n];
    System.gc();
    long before = Bench.memory();
    long begun = System.nanoTime();
    for (int i = 0; i < n; i++) {
      threads[i] = Thread.startVirtualThread(() -> {
        arrived.incrementAndGet();
        try {
          gate.await();
        } catch (InterruptedException e) {
          throw new IllegalStateException(e);
        }
      });
    }
    while (arrived.get() < n) {
      Thread.yield();
    }
    Bench.report("parked-create", (System.nanoTime() - begun) / 1e3 / n, "us");
    System.gc(); // what is garbage by now would be counted otherwise
    Bench.report("parked-bytes", (double) (Bench.memory() - before) / n, "bytes");
    gate.countDown();
    for (Thread thread : threads) {
      thread.join();
    }
  }

  private static final int EXIT_LATE_START = 3;

  /** n threads asleep until a common start and up to 1 s more. */
  static void sleepers(int n) throws InterruptedException {
    long start = System.nanoTime() + Bench.milliseconds("BENCH_LEAD_MS", 500) * 1_000_000;
    var random = new Random(1);
    var lateStarts = new AtomicInteger();
    var late = new long[n];
    var all = new CountDownLatch(n);
    for (int i = 0; i < n; i++) {
      int me = i;
      long deadline = start + random.nextInt(1_000_000_000);
      Thread.startVirtualThread(() -> {
        if (System.nanoTime() > start) {
          lateStarts.incrementAndGet();
        }
        try {
          Thread.sleep(java.time.Duration.ofNanos(deadline - System.nanoTime()));
        } catch (InterruptedException e) {
          throw new IllegalStateException(e);
        }
        late[me] = System.nanoTime() - deadline;
        all.countDown();
      });
    }
    all.await();
    if (lateStarts.get() > 0) {
      System.exit(EXIT_LATE_START);
    }
    Bench.report("sleepers-p99", Bench.quantile(late, 0.99), "ms");
  }
}
