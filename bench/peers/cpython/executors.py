"""The workloads with concurrent.futures.ThreadPoolExecutor."""

import time
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter_ns

import measure


def nothing(argument):
    return argument


def compute(ns):
    end = perf_counter_ns() + ns
    while perf_counter_ns() < end:
        pass


def executor(metric, function, argument):
    def run(n):
        def batch():
            for future in [pool.submit(function, argument) for _ in range(n)]:
                future.result()

        with ThreadPoolExecutor(1) as pool:
            batch()
            begun, batches = time.monotonic(), 0
            while time.monotonic() - begun < measure.budget() or not batches:
                batch()
                batches += 1
            measure.report(metric, (time.monotonic() - begun) * 1e9 / (batches * n), "ns")

    return run


def mapped(chunk):
    """map of threads has no chunks, so a task takes a slice."""
    numbers = list(range(100_000))

    def items(first):
        return [nothing(number) for number in numbers[first : first + chunk]]

    with ThreadPoolExecutor(1) as pool:
        begun, rounds = time.monotonic(), 0
        while time.monotonic() - begun < measure.budget() or not rounds:
            if chunk == 1:
                total = sum(pool.map(nothing, numbers))
            else:
                total = sum(sum(part) for part in pool.map(items, range(0, len(numbers), chunk)))
            assert total == sum(numbers)
            rounds += 1
        measure.report("executor-map", (time.monotonic() - begun) * 1e9 / (rounds * len(numbers)), "ns")


WORKLOADS = {
    "executor": executor("executor", nothing, 0),
    "executor-1us": executor("executor-1us", compute, 1000),
    "executor-100us": executor("executor-100us", compute, 100_000),
    "executor-map": mapped,
}
