"""The workloads with CPython's threads."""

import os
import sys
import threading
import time
from time import perf_counter_ns

import executors
import locks
import managers
import measure
import pipes
import process_pools
import processes
import queues
import shared


def start(target, *args):
    thread = threading.Thread(target=target, args=args)
    thread.start()
    return thread


def join_all(threads):
    for thread in threads:
        thread.join()


# ---- spawn, yield


def nothing():
    pass


def spawn(n):
    begun, batches = time.monotonic(), 0
    while time.monotonic() - begun < measure.budget():
        join_all([start(nothing) for _ in range(n)])
        batches += 1
    measure.report("spawn", (time.monotonic() - begun) * 1e9 / (batches * n), "ns")


def yielding(n):
    """time.sleep(0) lets go of the interpreter lock, but need not switch: the switches are counted."""
    running, switches, arrived = None, 0, threading.Barrier(n + 1)
    end = None

    def yielder(me):
        nonlocal running, switches
        arrived.wait()
        while True:
            for _ in range(100):
                if running != me:
                    running = me
                    switches += 1
                time.sleep(0)
            if time.monotonic() > end:
                break

    threads = [start(yielder, i) for i in range(n)]
    begun = time.monotonic()
    end = begun + measure.budget()
    arrived.wait()
    join_all(threads)
    measure.report("yield", (time.monotonic() - begun) * 1e9 / switches, "ns")


# ---- parked, sleepers


def parked(n):
    gate, arrived = threading.Lock(), threading.Barrier(n + 1)
    gate.acquire()

    def parker():
        arrived.wait()
        with gate:
            pass

    threads = [None] * n
    before, begun = measure.memory(), time.monotonic()
    for i in range(n):
        threads[i] = start(parker)
    arrived.wait()
    measure.report("parked-create", (time.monotonic() - begun) * 1e6 / n, "us")
    measure.report("parked-bytes", (measure.memory() - before) / n, "bytes")
    gate.release()
    join_all(threads)


def sleepers(n):
    start_time = time.monotonic() + measure.milliseconds("BENCH_LEAD_MS", 500)
    late, begun, delays = [0.0] * n, [0.0] * n, measure.random_delays(n)

    def sleeper(i):
        deadline = start_time + delays[i]
        begun[i] = time.monotonic()
        time.sleep(deadline - begun[i])
        late[i] = time.monotonic() - deadline

    join_all([start(sleeper, i) for i in range(n)])
    measure.report_sleepers(late, begun, start_time)


# ---- slice


def work(steps):
    x = 1
    for _ in range(steps):
        x = (x * 5 + 1) & 1023
    return x


def slicing(us):
    """Two threads against one that does as much; the two alternate and the best of each counts."""
    rounds, probe = 7, 1_000_000
    sys.setswitchinterval(us / 1e6)

    def timed(span, steps):
        span.append(perf_counter_ns())
        work(steps)
        span.append(perf_counter_ns())

    def extent(*steps):
        spans = [[] for _ in steps]
        join_all([start(timed, span, n) for span, n in zip(spans, steps)])
        if max(span[0] for span in spans) >= min(span[1] for span in spans):
            sys.exit("no preemption: one ran after the other")
        return max(span[1] for span in spans) - min(span[0] for span in spans)

    steps = int(probe * measure.budget() * 1e9 / 2 / extent(probe))
    pair, alone = zip(*((extent(steps, steps), extent(2 * steps)) for _ in range(rounds)))
    measure.report("slice", 100 * (min(pair) / min(alone) - 1), "%")


# ---- convoy

stop = False


def hog():
    while not stop:
        pass


def hog_malloc():
    i = 0
    while not stop:
        i += 1
        "hog %d: %f" % (i, i / 3)


def read_full(fd, size):
    data = b""
    while len(data) < size:
        data += os.read(fd, size - len(data))
    return data


def echo(source, sink):
    while data := os.read(source, 64):
        os.write(sink, data)


def round_trips(source, sink, took):
    enough, warm_up, shortest, longest, message = 2000, 3, 1, 3, b"e" * 64
    begun = start_time = time.monotonic()
    i = 0
    while begun - start_time < (longest if len(took) < enough else shortest):
        os.write(sink, message)
        if read_full(source, 64) != message:
            sys.exit("the echo is not what was sent")
        now = time.monotonic()
        if i >= warm_up:
            took.append(now - begun)
        begun = now
        i += 1
    os.close(sink)


def convoy(hogs, what):
    global stop
    (there_in, there_out), (back_in, back_out), took = os.pipe(), os.pipe(), []
    threads = [start(what) for _ in range(hogs)]
    threads.append(start(echo, there_in, back_out))
    start(round_trips, back_in, there_out, took).join()
    stop = True
    join_all(threads)
    measure.report_convoy(took)


# ---- gil-convoy


def gil_convoy(hogs):
    """How late a thread is back from a sleep beside threads that compute: what it waits for the interpreter lock, and what
    the kernel adds to every sleep, some 60 us. Python cannot read the clock before it has the lock."""
    global stop
    span, longest, times, late = 0.001, 4, 500, []
    threads = [start(hog) for _ in range(hogs)]

    def come_and_go():
        begun = time.monotonic()
        while len(late) < times and time.monotonic() - begun < longest:
            before = time.monotonic()
            time.sleep(span)
            late.append(time.monotonic() - before - span)

    start(come_and_go).join()
    stop = True
    join_all(threads)
    measure.report("gil-convoy-p50", measure.quantile_ms(late, 0.5), "ms")
    measure.report("gil-convoy", measure.quantile_ms(late, 0.99), "ms")


if __name__ == "__main__":
    threading.stack_size(64 * 1024)
    measure.main(
        {
            "spawn": spawn,
            "yield": yielding,
            "parked": parked,
            "sleepers": sleepers,
            "slice": slicing,
            "convoy": lambda n: convoy(n, hog),
            "convoy-malloc": lambda n: convoy(n, hog_malloc),
            **locks.WORKLOADS,
            **queues.WORKLOADS,
            **executors.WORKLOADS,
            **process_pools.WORKLOADS,
            **managers.WORKLOADS,
            **pipes.WORKLOADS,
            **processes.WORKLOADS,
            **shared.WORKLOADS,
            "gil-convoy": gil_convoy,
        }
    )
