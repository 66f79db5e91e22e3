import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Map;
import java.util.concurrent.Callable;

/** The workloads with virtual threads. Called as `Bench WORKLOAD N`; prints `metric value unit`. */
final class Bench {
  interface Workload {
    void run(int n) throws Exception;
  }

  static final Map<String, Workload> WORKLOADS = Map.ofEntries(
      Map.entry("spawn", Spawn::spawn),
      Map.entry("yield", Spawn::yield),
      Map.entry("forkjoin", Spawn::forkjoin),
      Map.entry("forkjoin-pool", Spawn::forkjoinPool),
      Map.entry("skynet", Spawn::skynet),
      Map.entry("parked", Wait::parked),
      Map.entry("sleepers", Wait::sleepers),
      Map.entry("echo", Echo::echo),
      Map.entry("executor", Executor.byThread("executor", 0)),
      Map.entry("executor-1us", Executor.byThread("executor-1us", 1000)),
      Map.entry("executor-100us", Executor.byThread("executor-100us", 100_000)),
      Map.entry("executor-pool", Executor.byPool("executor", 0)),
      Map.entry("executor-1us-pool", Executor.byPool("executor-1us", 1000)),
      Map.entry("executor-100us-pool", Executor.byPool("executor-100us", 100_000)),
      Map.entry("convoy", n -> Convoy.run(n, Convoy::hog, Thread.ofVirtual())),
      Map.entry("convoy-malloc", n -> Convoy.run(n, Convoy::hogMalloc, Thread.ofVirtual())),
      Map.entry("convoy-offload", n -> Convoy.run(n, Convoy::hog, Thread.ofPlatform().daemon())),
      Map.entry(
          "convoy-malloc-offload", n -> Convoy.run(n, Convoy::hogMalloc, Thread.ofPlatform().daemon())));

  static void fail(String reason) {
    System.err.println(reason);
    System.exit(1);
  }

  static void report(String metric, double value, String unit) {
    System.out.printf("%s %.3f %s%n", metric, value, unit);
  }

  static long milliseconds(String variable, long otherwise) {
    String text = System.getenv(variable);
    return text == null ? otherwise : Long.parseLong(text);
  }

  static long budget() {
    return milliseconds("BENCH_MS", 300) * 1_000_000;
  }

  /** Resident bytes and page tables of this process. */
  static long memory() throws IOException {
    return 1024 * (kilobytes("/proc/self/smaps_rollup", "Rss:") + kilobytes("/proc/self/status", "VmPTE:"));
  }

  private static long kilobytes(String path, String key) throws IOException {
    for (String line : Files.readAllLines(Path.of(path))) {
      if (line.startsWith(key)) {
        return Long.parseLong(line.split("\\s+")[1]);
      }
    }
    throw new IOException(path + " has no " + key);
  }

  /** The value at the quantile of so many nanoseconds, in milliseconds. */
  static double quantile(long[] values, double q) {
    Arrays.sort(values);
    return values[Math.min((int) (q * values.length), values.length - 1)] / 1e6;
  }

  /** Runs fn in a virtual thread. */
  static <T> T inVirtualThread(Callable<T> fn) throws Exception {
    var task = new java.util.concurrent.FutureTask<>(fn);
    Thread.startVirtualThread(task);
    return task.get();
  }

  public static void main(String[] arguments) throws Exception {
    Workload workload = WORKLOADS.get(arguments[0]);
    if (workload == null) {
      fail("no workload " + arguments[0] + " here");
    }
    int n = Integer.parseInt(arguments[1]);
    inVirtualThread(() -> {
      workload.run(n);
      return null;
    });
    System.exit(0);
  }
}
