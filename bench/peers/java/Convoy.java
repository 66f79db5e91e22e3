import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.Pipe;
import java.util.Arrays;

/** Echo over two pipes beside hogs. */
final class Convoy {
  private static final int BYTES = 64;
  private static volatile boolean stop;
  private static volatile Object kept;

  static void hog() {
    while (!stop) {
    }
  }

  static void hogMalloc() {
    for (int i = 0; !stop; i++) {
      kept = String.format("hog %d: %f", i, i / 3.0);
    }
  }

  private static void echo(Pipe.SourceChannel from, Pipe.SinkChannel to) {
    var buffer = ByteBuffer.allocateDirect(BYTES);
    try {
      while (from.read(buffer.clear()) > 0) {
        buffer.flip();
        while (buffer.hasRemaining()) {
          to.write(buffer);
        }
      }
    } catch (IOException e) {
      Bench.fail(e.toString());
    }
  }

  private static long[] roundTrips(Pipe.SourceChannel from, Pipe.SinkChannel to) throws IOException {
    final int enough = 2000;
    final int warmUp = 3;
    final long shortest = 1_000_000_000L;
    final long longest = 3 * shortest;
    var took = new long[1_000_000];
    int n = 0;
    var message = ByteBuffer.allocateDirect(BYTES);
    var answer = ByteBuffer.allocateDirect(BYTES);
    long start = System.nanoTime();
    long begun;
    for (int i = 0; n < took.length; i++) {
      begun = System.nanoTime();
      if (begun - start > (n < enough ? longest : shortest)) {
        break;
      }
      message.clear();
      while (message.hasRemaining()) {
        to.write(message);
      }
      answer.clear();
      while (answer.hasRemaining()) {
        from.read(answer);
      }
      if (i >= warmUp) {
        took[n++] = System.nanoTime() - begun;
      }
    }
    return Arrays.copyOf(took, n);
  }

  /** The hogs are threads of the given kind: virtual as the rest, or platform threads as Java's documentation
   * teaches for CPU-bound work. */
  static void run(int hogs, Runnable hog, Thread.Builder kind) throws Exception {
    Pipe there = Pipe.open();
    Pipe back = Pipe.open();
    for (int i = 0; i < hogs; i++) {
      kind.start(hog);
    }
    Thread.startVirtualThread(() -> echo(there.source(), back.sink()));
    long[] took = Bench.inVirtualThread(() -> roundTrips(back.source(), there.sink()));
    stop = true;
    if (took.length == 0) {
      Bench.fail("no round trip within 3 s");
    }
    Bench.report("convoy-p50", Bench.quantile(took, 0.5), "ms");
    Bench.report("convoy", Bench.quantile(took, 0.99), "ms");
  }
}
