"""Starting processes by CPython's multiprocessing, each start method, and by subprocess."""

import multiprocessing
import subprocess
import time

import measure


def nothing():
    pass


def measured(name, n, start_all):
    """start_all(n) starts that many and returns functions that join them."""

    def turn():
        for join in start_all(n):
            join()

    turn()
    begun, done = time.monotonic(), 0
    while time.monotonic() - begun < measure.budget():
        turn()
        done += n
    measure.report(name, (time.monotonic() - begun) * 1e6 / done, "us")


def by_method(method):
    def start_all(n):
        context = multiprocessing.get_context(method)
        processes = [context.Process(target=nothing) for _ in range(n)]
        for process in processes:
            process.start()
        return [process.join for process in processes]

    return lambda n: measured(f"process-{method}", n, start_all)


def commands(n):
    return [subprocess.Popen(["/bin/true"]).wait for _ in range(n)]


WORKLOADS = {
    **{f"process-{method}": by_method(method) for method in ("forkserver", "spawn", "fork")},
    "process-exec": lambda n: measured("process-exec", n, commands),
}
