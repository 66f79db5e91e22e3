"""The workloads of executors of processes with concurrent.futures.ProcessPoolExecutor and multiprocessing.Pool."""

import multiprocessing
import os
import time
from concurrent.futures import ProcessPoolExecutor

import measure

ITEMS = 100_000


def nothing(argument):
    return argument


def workers():
    return len(os.sched_getaffinity(0))


def timed(metric, count, step):
    step()
    begun, rounds = time.monotonic(), 0
    while time.monotonic() - begun < measure.budget() or not rounds:
        step()
        rounds += 1
    measure.report(metric, (time.monotonic() - begun) * 1e9 / (rounds * count), "ns")


def processes(n):
    def batch():
        for i, future in enumerate([pool.submit(nothing, i) for i in range(n)]):
            assert future.result() == i

    with ProcessPoolExecutor(workers()) as pool:
        timed("processes", n, batch)


def processes_chunked(chunk):
    with ProcessPoolExecutor(workers()) as pool:
        timed("processes-chunked", ITEMS, lambda: check(sum(pool.map(nothing, range(ITEMS), chunksize=chunk))))


def check(total):
    assert total == ITEMS * (ITEMS - 1) // 2


def pool_processes(n):
    def batch():
        for i, result in enumerate([pool.apply_async(nothing, (i,)) for i in range(n)]):
            assert result.get() == i

    with multiprocessing.Pool(workers()) as pool:
        timed("processes", n, batch)


def pool_chunked(chunk):
    with multiprocessing.Pool(workers()) as pool:
        timed("processes-chunked", ITEMS, lambda: check(sum(pool.imap(nothing, range(ITEMS), chunksize=chunk))))


WORKLOADS = {
    "processes": processes,
    "processes-chunked": processes_chunked,
    "processes-pool": pool_processes,
    "processes-pool-chunked": pool_chunked,
}
