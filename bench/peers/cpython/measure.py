"""What the two Python programs share: the clock's budget, memory, quantiles, the report."""

import os
import random
import sys

EXIT_LATE_START = 3


def report(metric, value, unit):
    print(f"{metric} {value:.6g} {unit}")


def milliseconds(variable, otherwise):
    return int(os.environ.get(variable, otherwise)) / 1e3


def budget():
    """Seconds to repeat a short operation."""
    return milliseconds("BENCH_MS", 300)


def kilobytes(path, key):
    with open(path) as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith(key))


def memory():
    """Resident bytes and page tables of this process."""
    return 1024 * (kilobytes("/proc/self/smaps_rollup", "Rss:") + kilobytes("/proc/self/status", "VmPTE:"))


def quantile_ms(seconds, q):
    return sorted(seconds)[min(int(q * len(seconds)), len(seconds) - 1)] * 1e3


def random_delays(n):
    return [random.random() for _ in range(n)]


def report_sleepers(late, begun, start):
    if max(begun) > start:
        sys.exit(EXIT_LATE_START)
    report("sleepers-p99", quantile_ms(late, 0.99), "ms")


def report_convoy(took):
    if not took:
        sys.exit("no round trip within 3 s")
    report("convoy-p50", quantile_ms(took, 0.5), "ms")
    report("convoy", quantile_ms(took, 0.99), "ms")


def main(workloads):
    """Called as `program WORKLOAD N WORKERS`."""
    if len(sys.argv) != 4:
        sys.exit(f"usage: {sys.argv[0]} WORKLOAD N WORKERS")
    if sys.argv[1] not in workloads:
        sys.exit(f"no workload {sys.argv[1]} here")
    workloads[sys.argv[1]](int(sys.argv[2]))
