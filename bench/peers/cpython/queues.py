"""Queues of CPython's queue: Queue where there is a capacity, SimpleQueue, which is faster, where there is none."""

import os
import queue
import random
import threading
import time

import measure

END = None


def given(variable, otherwise):
    return int(os.environ.get(variable, otherwise))


def putter(put, number, most, stop, done, sums):
    count = total = 0
    while not stop[0] and count < most:
        for _ in range(16):
            number += 1
            total += number
            put(number)
        count += 16
    done.append(count)
    sums.append(total)


def getter(get, done, sums):
    count = total = 0
    while (item := get()) is not END:
        total += item
        count += 1
    done.append(count)
    sums.append(total)


def start(target, *args):
    thread = threading.Thread(target=target, args=args)
    thread.start()
    return thread


def transfer(most):
    putters, getters = given("BENCH_PUTTERS", 4), given("BENCH_GETTERS", 4)
    capacity = given("BENCH_CAPACITY", 1024)
    items = queue.Queue(capacity) if capacity > 0 else queue.SimpleQueue()
    stop, put, put_sums, got, got_sums = [False], [], [], [], []
    timer = threading.Timer(measure.budget(), lambda: stop.__setitem__(0, True))
    begun = time.monotonic()
    timer.start()
    to = [start(getter, items.get, got, got_sums) for _ in range(getters)]
    by = [
        start(putter, items.put, i << 40, most // putters, stop, put, put_sums) for i in range(putters)
    ]
    for thread in by:
        thread.join()
    for _ in range(getters):
        items.put(END)
    for thread in to:
        thread.join()
    took = time.monotonic() - begun
    timer.cancel()
    if sum(put) != sum(got) or sum(put_sums) != sum(got_sums):
        raise SystemExit("got not what was put")
    measure.report("queue", took * 1e9 / sum(got), "ns")


def pingpong(_):
    there, back = queue.SimpleQueue(), queue.SimpleQueue()

    def other():
        while (ball := there.get()) is not END:
            back.put(ball + 1)

    thread = start(other)
    begun, ball = time.monotonic(), 0
    end = begun + measure.budget()
    while time.monotonic() < end:
        there.put(ball)
        ball = back.get()
    took = time.monotonic() - begun
    there.put(END)
    thread.join()
    measure.report("pingpong", took * 1e9 / ball, "ns")


def fill(n):
    items = queue.SimpleQueue()
    put, get = items.put, items.get
    begun, done = time.monotonic(), 0
    while not done or time.monotonic() - begun < measure.budget():
        for _ in range(0, 1000, n):
            for i in range(n):
                put(i)
            for i in range(n):
                if get() != i:
                    raise SystemExit("a queue out of order")
            done += n
    measure.report("queue-fill", (time.monotonic() - begun) * 1e9 / done, "ns")


def priority(n):
    span, least, done = 1 << 32, 0, 0
    numbers = queue.PriorityQueue()
    for _ in range(n):
        numbers.put(random.randrange(span))
    more = [random.randrange(span) for _ in range(100)]
    begun = time.monotonic()
    while time.monotonic() - begun < measure.budget():
        for one in more:
            got = numbers.get()
            if got < least:
                raise SystemExit("a heap out of order")
            least = got
            numbers.put(least + one)
        done += len(more)
    measure.report("queue-priority", (time.monotonic() - begun) * 1e9 / done, "ns")


WORKLOADS = {"queue": transfer, "pingpong": pingpong, "queue-fill": fill, "queue-priority": priority}
