import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.StandardSocketOptions;
import java.nio.ByteBuffer;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.util.Arrays;
import java.util.concurrent.atomic.AtomicLongArray;

/** Echo over TCP: a virtual thread at each end of each connection. */
final class Echo {
  private static final int SIZE = Integer.parseInt(System.getenv().getOrDefault("BENCH_BYTES", "64"));
  private static volatile boolean stop;

  private static void serve(SocketChannel channel) {
    var buffer = ByteBuffer.allocateDirect(SIZE);
    try (channel) {
      while (channel.read(buffer.clear()) > 0) {
        buffer.flip();
        while (buffer.hasRemaining()) {
          channel.write(buffer);
        }
      }
    } catch (IOException e) {
      Bench.fail(e.toString());
    }
  }

  private static void ask(SocketChannel channel, int number, AtomicLongArray done, long[] times) {
    var message = ByteBuffer.allocateDirect(SIZE);
    var answer = ByteBuffer.allocateDirect(SIZE);
    for (int i = 0; i < SIZE; i++) {
      message.put((byte) 'e');
    }
    try (channel) {
      long begun = System.nanoTime();
      for (long i = 0; !stop; i++) {
        message.clear();
        while (message.hasRemaining()) {
          channel.write(message);
        }
        answer.clear();
        while (answer.hasRemaining()) {
          if (channel.read(answer) < 0) {
            Bench.fail("the server has closed the connection");
          }
        }
        if (!answer.flip().equals(message.flip())) {
          Bench.fail("the echo is not what was sent");
        }
        long now = System.nanoTime();
        times[(int) (i % times.length)] = now - begun;
        begun = now;
        done.lazySet(number, i + 1);
      }
    } catch (IOException e) {
      Bench.fail(e.toString());
    }
  }

  private static long sum(AtomicLongArray done) {
    long sum = 0;
    for (int i = 0; i < done.length(); i++) {
      sum += done.get(i);
    }
    return sum;
  }

  private static long[] last(AtomicLongArray done, long[][] times) {
    return java.util.stream.IntStream.range(0, times.length)
        .mapToObj(i -> Arrays.stream(times[i], 0, (int) Math.min(done.get(i), times[i].length)))
        .flatMapToLong(s -> s)
        .toArray();
  }

  static void echo(int n) throws Exception {
    var done = new AtomicLongArray(n);
    var times = new long[n][Math.max((1 << 20) / n, 16)];
    var clients = new SocketChannel[n];
    var threads = new Thread[n];
    try (var listener = ServerSocketChannel.open()) {
      listener.bind(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0));
      for (int i = 0; i < n; i++) {
        clients[i] = SocketChannel.open(listener.getLocalAddress());
        SocketChannel server = listener.accept();
        clients[i].setOption(StandardSocketOptions.TCP_NODELAY, true);
        server.setOption(StandardSocketOptions.TCP_NODELAY, true);
        Thread.startVirtualThread(() -> serve(server));
      }
    }
    for (int i = 0; i < n; i++) {
      int number = i;
      threads[i] = Thread.startVirtualThread(() -> ask(clients[number], number, done, times[number]));
    }
    for (int i = 0; i < n; i++) {
      while (done.get(i) == 0) {
        Thread.sleep(10);
      }
    }
    Thread.sleep(1000); // for the compiler
    long begun = System.nanoTime();
    long before = sum(done);
    Thread.sleep(2 * Bench.budget() / 1_000_000);
    long counted = sum(done) - before;
    Bench.report("echo", counted * 1e9 / (System.nanoTime() - begun), "/s");
    stop = true;
    for (Thread thread : threads) {
      thread.join();
    }
    Bench.report("echo-p99", Bench.quantile(last(done, times), 0.99) * 1e3, "us");
  }
}
