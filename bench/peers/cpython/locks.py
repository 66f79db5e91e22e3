"""Locks and the like with CPython's threading."""

import threading
import time

import measure


def crew(metric, n, loop):
    """n threads do the same until the budget is used up; the nanoseconds of one time."""
    stop, done, arrived = [False], [0] * n, threading.Barrier(n + 1)

    def member(i):
        arrived.wait()
        loop(i, stop, done)

    threads = [threading.Thread(target=member, args=(i,)) for i in range(n)]
    for thread in threads:
        thread.start()
    arrived.wait()
    begun = time.monotonic()
    time.sleep(measure.budget())
    stop[0] = True
    for thread in threads:
        thread.join()
    measure.report(metric, (time.monotonic() - begun) * 1e9 / sum(done), "ns")


def taking(metric, n, what):
    def loop(i, stop, done):
        count, acquire, release = 0, what.acquire, what.release
        while not stop[0]:
            for _ in range(16):
                acquire()
                release()
            count += 16
        done[i] = count

    crew(metric, n, loop)


def lock(n):
    taking("lock", n, threading.Lock())


def sem(n):
    taking("sem", n, threading.Semaphore((n + 1) // 2))


def cond(_):
    mutex, turn = threading.Lock(), [0]
    changed = [threading.Condition(mutex) for _ in range(2)]

    def loop(me, stop, done):
        with mutex:
            while not stop[0]:
                while turn[0] != me and not stop[0]:
                    changed[me].wait()
                turn[0] = 1 - me
                done[me] += me
                changed[1 - me].notify()

    crew("cond", 2, loop)


def barrier_rounds(n, rounds):
    barrier, begun = threading.Barrier(n), threading.Barrier(n + 1)

    def member():
        begun.wait()
        for _ in range(rounds):
            barrier.wait()

    threads = [threading.Thread(target=member) for _ in range(n)]
    for thread in threads:
        thread.start()
    begun.wait()
    since = time.monotonic()
    for thread in threads:
        thread.join()
    return time.monotonic() - since


def barrier(n):
    rounds = max(5000 // n, 5)
    measure.report("barrier", barrier_rounds(n, rounds) * 1e9 / (rounds * n), "ns")


def event(n):
    fired = threading.Event()
    threads = [threading.Thread(target=fired.wait) for _ in range(n)]
    for thread in threads:
        thread.start()
    time.sleep(0.2)
    begun = time.monotonic()
    fired.set()
    for thread in threads:
        thread.join()
    measure.report("event", (time.monotonic() - begun) * 1e9 / n, "ns")


WORKLOADS = {"lock": lock, "sem": sem, "cond": cond, "barrier": barrier, "event": event}
