import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.ForkJoinPool;
import java.util.concurrent.Future;

/** Tasks whose results are taken: executor. */
final class Executor {
  private static final long WARM_UP = 1_500_000_000L;

  private static int compute(int ns) {
    for (long end = System.nanoTime() + ns; System.nanoTime() < end;) {
    }
    return ns;
  }

  private static void submitAndTake(ExecutorService pool, Future<?>[] futures, Callable<Integer> task)
      throws Exception {
    for (int i = 0; i < futures.length; i++) {
      futures[i] = pool.submit(task);
    }
    for (Future<?> future : futures) {
      future.get();
    }
  }

  /** Nanoseconds a task in batches of `futures.length` for at least so long. */
  private static double submitFor(
      long duration, ExecutorService pool, Future<?>[] futures, Callable<Integer> task) throws Exception {
    long begun = System.nanoTime();
    long took;
    long batches = 0;
    do {
      submitAndTake(pool, futures, task);
      batches++;
    } while ((took = System.nanoTime() - begun) < duration);
    return (double) took / (batches * futures.length);
  }

  private static Callable<Integer> task(int ns) {
    return ns == 0 ? () -> 0 : () -> compute(ns);
  }

  private static void run(String metric, int n, int ns, ExecutorService pool) throws Exception {
    try (pool) {
      var futures = new Future<?>[n];
      submitFor(WARM_UP, pool, futures, task(ns));
      Bench.report(metric, submitFor(Bench.budget(), pool, futures, task(ns)), "ns");
    }
  }

  /** A virtual thread for each task, as Java's documentation teaches: virtual threads are not pooled. */
  static Bench.Workload byThread(String metric, int ns) {
    return n -> run(metric, n, ns, Executors.newVirtualThreadPerTaskExecutor());
  }

  /** As many threads of a ForkJoinPool as the virtual threads have; asynchronous, as is taught for tasks that are never joined. */
  static Bench.Workload byPool(String metric, int ns) {
    int workers = Integer.getInteger("jdk.virtualThreadScheduler.parallelism");
    return n -> run(
        metric, n, ns,
        new ForkJoinPool(workers, ForkJoinPool.defaultForkJoinWorkerThreadFactory, null, true));
  }
}
