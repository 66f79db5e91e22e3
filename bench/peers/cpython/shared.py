"""A lock and a queue between two processes by CPython's multiprocessing."""

import multiprocessing
import time

import measure

BATCH = 1000
CONTEXT = multiprocessing.get_context("fork")


def take(lock, counter):
    for _ in range(BATCH):
        with lock:
            counter.value += 1


def contend(lock, counter, start, stop):
    start.wait()
    while not stop.value:
        take(lock, counter)


def shared_lock(n):
    lock, start = CONTEXT.Lock(), CONTEXT.Barrier(n)
    counter, stop = CONTEXT.RawValue("L", 0), CONTEXT.RawValue("b", 0)
    others = [CONTEXT.Process(target=contend, args=(lock, counter, start, stop)) for _ in range(n - 1)]
    for other in others:
        other.start()
    start.wait()
    begun, before = time.monotonic(), counter.value
    while time.monotonic() - begun < measure.budget():
        take(lock, counter)
    took, done = time.monotonic() - begun, counter.value - before
    stop.value = 1
    measure.report("shared-lock", took * 1e9 / done, "ns")
    for other in others:
        other.join()


def consume(queue):
    while queue.get() is not None:
        queue.task_done()
    queue.task_done()


def process_queue(size):
    queue = CONTEXT.JoinableQueue(maxsize=1024 if size < 65536 else 8)
    consumer = CONTEXT.Process(target=consume, args=(queue,))
    consumer.start()
    message, each = bytes(size), 1000 if size < 65536 else 20

    def send(n):
        for _ in range(n):
            queue.put(message)
        queue.join()

    send(each // 10)
    begun, sent = time.monotonic(), 0
    while time.monotonic() - begun < measure.budget():
        send(each)
        sent += each
    measure.report("process-queue", (time.monotonic() - begun) * 1e9 / sent, "ns")
    queue.put(None)
    queue.join()
    consumer.join()


WORKLOADS = {"shared-lock": shared_lock, "process-queue": process_queue}
