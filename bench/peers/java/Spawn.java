import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ForkJoinPool;
import java.util.concurrent.RecursiveTask;
import java.util.concurrent.atomic.AtomicInteger;

/** Starting, switching, joining: spawn, yield, forkjoin, skynet. Each is run before it is measured, so that
 * the compiler has seen it. */
final class Spawn {
  private static final long WARM_UP = 1_500_000_000L;

  // ---- spawn

  private static void nothing() {}

  private static void spawnAndJoin(Thread[] threads) throws InterruptedException {
    for (int i = 0; i < threads.length; i++) {
      threads[i] = Thread.startVirtualThread(Spawn::nothing);
    }
    for (Thread thread : threads) {
      thread.join();
    }
  }

  /** Nanoseconds a thread in batches of `threads.length` for at least so long. */
  private static double spawnFor(long duration, Thread[] threads) throws InterruptedException {
    long begun = System.nanoTime();
    long took;
    long batches = 0;
    do {
      spawnAndJoin(threads);
      batches++;
    } while ((took = System.nanoTime() - begun) < duration);
    return (double) took / (batches * threads.length);
  }

  static void spawn(int n) throws InterruptedException {
    spawnFor(WARM_UP, new Thread[1000]);
    Bench.report("spawn", spawnFor(Bench.budget(), new Thread[n]), "ns");
  }

  // ---- yield

  private static double yieldAll(int n, int each) throws InterruptedException {
    var arrived = new AtomicInteger();
    var finished = new AtomicInteger();
    var all = new CountDownLatch(n);
    long[] time = new long[2];
    for (int i = 0; i < n; i++) {
      Thread.startVirtualThread(() -> {
        if (arrived.incrementAndGet() == n) {
          time[0] = System.nanoTime();
        }
        while (arrived.get() < n) {
          Thread.yield();
        }
        for (int k = 0; k < each; k++) {
          Thread.yield();
        }
        if (finished.incrementAndGet() == n) {
          time[1] = System.nanoTime();
        }
        all.countDown();
      });
    }
    all.await();
    return (double) (time[1] - time[0]) / ((double) each * n);
  }

  static void yield(int n) throws InterruptedException {
    yieldAll(2, 2_000_000);
    Bench.report("yield", yieldAll(n, Math.max(2_000_000 / n, 4)), "ns");
  }

  // ---- forkjoin

  private static final class Fib implements Runnable {
    private final int n;
    int result;

    Fib(int n) {
      this.n = n;
    }

    @Override
    public void run() {
      result = fib(n);
    }
  }

  private static int fib(int n) {
    if (n < 2) {
      return n;
    }
    var child = new Fib(n - 1);
    Thread thread = Thread.startVirtualThread(child);
    int y = fib(n - 2);
    try {
      thread.join();
    } catch (InterruptedException e) {
      throw new IllegalStateException(e);
    }
    return child.result + y;
  }

  private static int spawns(int n) {
    return n < 2 ? 0 : 1 + spawns(n - 1) + spawns(n - 2);
  }

  private interface IntFunction {
    int of(int n);
  }

  private static void forkjoinTimed(int n, IntFunction fib) {
    for (long end = System.nanoTime() + WARM_UP; System.nanoTime() < end;) {
      fib.of(n - 7);
    }
    fib.of(n);
    long begun = System.nanoTime();
    if (fib.of(n) != spawns(n - 1) + 1) {
      Bench.fail("fib is wrong");
    }
    Bench.report("forkjoin", (double) (System.nanoTime() - begun) / spawns(n), "ns");
  }

  static void forkjoin(int n) {
    forkjoinTimed(n, Spawn::fib);
  }

  /** What Java teaches for this: tasks of a ForkJoinPool. */
  private static final class FibTask extends RecursiveTask<Integer> {
    private static final long serialVersionUID = 1;
    private final int n;

    FibTask(int n) {
      this.n = n;
    }

    @Override
    protected Integer compute() {
      if (n < 2) {
        return n;
      }
      var child = new FibTask(n - 1);
      child.fork();
      int y = new FibTask(n - 2).compute();
      return child.join() + y;
    }
  }

  static void forkjoinPool(int n) {
    int workers = Integer.getInteger("jdk.virtualThreadScheduler.parallelism");
    try (var pool = new ForkJoinPool(workers)) {
      forkjoinTimed(n, k -> pool.invoke(new FibTask(k)));
    }
  }

  // ---- skynet

  private static final int CHILDREN = 10;

  private static final class Part implements Runnable {
    private final long first;
    private final int count;
    long result;

    Part(long first, int count) {
      this.first = first;
      this.count = count;
    }

    @Override
    public void run() {
      if (count == 1) {
        result = first;
        return;
      }
      var parts = new Part[CHILDREN];
      var threads = new Thread[CHILDREN];
      for (int i = 0; i < CHILDREN; i++) {
        parts[i] = new Part(first + (long) i * (count / CHILDREN), count / CHILDREN);
        threads[i] = Thread.startVirtualThread(parts[i]);
      }
      for (int i = 0; i < CHILDREN; i++) {
        try {
          threads[i].join();
        } catch (InterruptedException e) {
          throw new IllegalStateException(e);
        }
        result += parts[i].result;
      }
    }
  }

  static void skynet(int n) {
    for (int i = 0; i < 5; i++) {
      new Part(0, n / 10).run();
    }
    new Part(0, n).run();
    long begun = System.nanoTime();
    var whole = new Part(0, n);
    whole.run();
    if (whole.result != (long) n * (n - 1) / 2) {
      Bench.fail("skynet's sum is wrong");
    }
    Bench.report("skynet", (System.nanoTime() - begun) / 1e6, "ms");
  }
}
