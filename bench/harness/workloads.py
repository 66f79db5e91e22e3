"""The workloads: what each is called, how its program is called, and what it prints.

A program prints `metric value unit` lines. `metrics` gives each of them the name it has in the table and in
bench.json; a workload of one metric may go by its own name."""

from dataclasses import dataclass, field
from fnmatch import fnmatch

MILLION = 1_000_000
SIZES = (10, 1000, MILLION)
# Whose n is no number of threads.
NO_THREADS = ("slice", "queue", "timers", "file", "executor", "nqueens", "uts", "matmul", "for-", "reduce", "pipe", "process", "manager")


@dataclass(frozen=True)
class Workload:
    name: str
    family: str  # the program's word for it
    n: int
    workers: tuple
    what: str
    metrics: dict = field(default_factory=dict)  # printed metric -> name in the table
    group: str = "main"
    environment: dict = field(default_factory=dict)  # what else its program must know

    @property
    def threads(self):
        """How many it needs at once, as far as that can be too many."""
        if self.family in ("echo", "idle-connection"):
            return 2 * self.n
        return 0 if self.family == "for" or self.family.startswith(NO_THREADS) else self.n

    @property
    def timeout(self):
        """Seconds for one run."""
        if "convoy" in self.family:
            return 10
        return 60 if self.n == MILLION else 20

    @property
    def lead_ms(self):
        """How long sleepers are given at first to fall asleep; doubled for whoever needs longer."""
        return 300 + self.threads * 2 // 1000

    def names(self):
        return self.metrics or {self.family: self.name}


def parked(n, name, suffix, group):
    names = {"parked-bytes": "parked-bytes" + suffix, "parked-create": "parked-create" + suffix}
    return Workload(name, "parked", n, (2,), f"{n:,} parked threads: memory and time of each", names, group)


def sleepers(n, name, suffix, group):
    names = {"sleepers-p99": "sleepers-p99" + suffix}
    return Workload(name, "sleepers", n, (2,), f"{n:,} threads asleep for up to 1 s: lateness", names, group)


def convoy(family, hogs):
    names = {"convoy": f"{family}-{hogs}", "convoy-p50": f"{family}-p50-{hogs}"}
    what = f"64 B there and back over two pipes beside {hogs} CPU-bound threads: p99 and p50"
    return Workload(f"{family}-{hogs}", family, hogs, (2,), what, names)


def locks(family, threads, workers, what):
    name = f"{family}-{threads}"
    return Workload(name, family, threads, workers, what, {family: name})


def gil_convoy(hogs):
    names = {"gil-convoy": f"gil-convoy-{hogs}", "gil-convoy-p50": f"gil-convoy-p50-{hogs}"}
    what = f"a sleeper comes back to an interpreter lock beside {hogs} CPU-bound threads: p99 and p50"
    return Workload(f"gil-convoy-{hogs}", "gil-convoy", hogs, (2,), what, names)


def starts(method, n):
    name = f"process-{method}" if n == 1 else f"process-{method}-{n}"
    what = "a command is" if method == "exec" else "a task that does nothing is"
    together = "" if n == 1 else f"; {n} at a time"
    return Workload(name, f"process-{method}", n, (1, 2), f"{what} started in a process, and joined{together}", {f"process-{method}": name})


RENDEZVOUS, UNBOUNDED = 0, -1
CAPACITIES = {RENDEZVOUS: "rendezvous", UNBOUNDED: "unbounded"}


def queue(putters, getters, item=8, capacity=1024, workers=(2,)):
    """At most so many items a run that a queue without a limit stays within a gigabyte."""
    name = f"queue-{putters}x{getters}"
    if (item, capacity) != (8, 1024):
        name += f"-{item}"
    if capacity != 1024:
        name += f"-{CAPACITIES.get(capacity, capacity)}"
    given = dict(PUTTERS=putters, GETTERS=getters, ITEM=item, CAPACITY=capacity)
    environment = {f"BENCH_{key}": str(value) for key, value in given.items()}
    places = {RENDEZVOUS: "no place", UNBOUNDED: "no limit", 1: "1 place"}.get(capacity, f"{capacity} places")
    what = f"{putters} put and {getters} get items of {item} B, {places}; an item"
    most = 4_000_000 if capacity == UNBOUNDED else 100_000_000
    return Workload(name, "queue", most, workers, what, {"queue": name}, "main", environment)


def select(queues, capacity=1024, workers=(2,)):
    name = f"select-{queues}" + ("" if capacity else "-rendezvous")
    what = f"one gets from {queues} queues, each of {capacity or 'no'} places, a putter each; an item"
    environment = {"BENCH_CAPACITY": str(capacity)}
    return Workload(name, "select", queues, workers, what, {"select": name}, "main", environment)


def timers(family, n, name, suffix, group):
    what = f"start and cancel each of {n:,} timers, beside {n:,} more" + (
        ", in a random order" if "random" in family else ""
    )
    names = {f"{family}-{metric}": f"{family}-{metric}{suffix}" for metric in ("start", "cancel")}
    return Workload(name, family, n, (1,), what, names, group)


def echo(connections, size=64):
    name = f"{connections}" + (f"-{size // 1024}k" if size >= 1024 else "")
    what = f"{size} B there and back over {connections:,} TCP connections, both ends in one process: round trips"
    names = {"echo": f"echo-{name}", "echo-p99": f"echo-p99-{name}"}
    given = {"BENCH_BYTES": str(size)}
    return Workload(f"echo-{name}", "echo", connections, (1, 2), what, names, "main", given)


def files(family, size, how):
    name = f"{family}-{size // 1024}k"
    what = f"{size // 1024} KiB of a file in the page cache, {how}; once"
    return Workload(name, family, 1, (1,), what, {family: name}, "main", {"BENCH_BYTES": str(size)})


def messages(size):
    name = f"process-queue-{size}" if size < 1024 else f"process-queue-{size >> 10}k"
    what = f"{size:,} B by a queue from one process to another; a message"
    return Workload(name, "process-queue", size, (1,), what, {"process-queue": name})


def executor(name, n, what):
    return Workload(name, name, n, (1, 2), what, {name: name})


def mapped(chunk):
    name = f"executor-map-{chunk}"
    what = f"a map over 100,000 items in chunks of {chunk}; an item"
    return Workload(name, "executor-map", chunk, (1, 2), what, {"executor-map": name})


def traced(name, family, n, workers, metrics):
    what = f"{name}, while it is recorded to a file; and the share of events lost"
    names = {metric: f"{given}-traced" for metric, given in metrics.items()}
    return Workload(f"{name}-traced", f"{family}-traced", n, workers, what, {**names, "trace-lost": f"{name}-lost"}, "traced")


def growth(family, n, what):
    return Workload(f"{family}-{n}", family, n, (1,), what, {}, "growth")


WORKLOADS = [
    Workload("spawn", "spawn", 1000, (1, 2), "start and join threads in batches of 1000"),
    growth("spawn", 10, "the same in batches of 10"),
    growth("spawn", MILLION, "the same in batches of a million"),
    Workload("scope", "scope", 1000, (1, 2), "open a scope, start 1000 threads in it, close it"),
    Workload("cancel", "cancel", 100_000, (1, 2), "cancel 100,000 sleeping threads of a scope, wait for their end"),
    Workload("yield", "yield", 2, (1,), "two threads that yield: one switch"),
    growth("yield", 10, "a ring of 10 threads that yield"),
    growth("yield", 1000, "a ring of 1000"),
    growth("yield", MILLION, "a ring of a million"),
    Workload("forkjoin", "forkjoin", 27, (1, 2), "fib(27): one spawn and one direct call a call; a spawn"),
    Workload("skynet", "skynet", MILLION, (2,), "a million threads in a tree of ten children each; sums"),
    Workload("nqueens", "nqueens", 12, (1, 2), "12 queens on a board, a fork for each place in five rows"),
    Workload("uts", "uts", 9, (1, 2), "an unbalanced tree, a fork for each child; a node"),
    Workload("matmul", "matmul", 512, (1, 2), "product of 512 x 512 numbers by recursive blocks of 64"),
    Workload("for", "for", 10 * MILLION, (1, 2), "a loop over 10,000,000 cheap iterations"),
    Workload("for-uneven", "for-uneven", 1000, (1, 2), "1000 iterations, one half 1000 times as long"),
    Workload("reduce", "reduce", 10 * MILLION, (1, 2), "a sum of 10,000,000 cheap terms"),
    parked(MILLION, "parked", "", "main"),
    parked(10, "parked-10", "-10", "growth"),
    parked(1000, "parked-1000", "-1000", "growth"),
    sleepers(MILLION, "sleepers", "", "main"),
    sleepers(10, "sleepers-10", "-10", "growth"),
    sleepers(1000, "sleepers-1000", "-1000", "growth"),
    Workload("slice", "slice", 5000, (1,), "cost of preempting two CPU-bound threads every 5 ms"),
    Workload("slice-1ms", "slice", 1000, (1,), "the same, every 1 ms", {"slice": "slice-1ms"}),
    Workload("slice-200us", "slice", 200, (1,), "the same, every 200 us", {"slice": "slice-200us"}),
    *(convoy("convoy", hogs) for hogs in (0, 1, 2, 4, 8)),
    convoy("convoy-malloc", 4),
    locks("lock", 1, (1,), "one thread takes and releases a lock; once"),
    *(locks("lock", n, (2,), f"{n} threads take one lock, with nothing inside; once") for n in (2, 8, 64)),
    locks("lock-100ns", 1, (1,), "one thread, 100 ns inside; once"),
    *(locks("lock-100ns", n, (2,), f"{n} threads, 100 ns inside; once") for n in (2, 8, 64)),
    locks("lock-10us", 1, (1,), "one thread, 10 us inside; once"),
    *(locks("lock-10us", n, (2,), f"{n} threads, 10 us inside; once") for n in (2, 8, 64)),
    *(locks("rwlock", n, (2,), f"{n} threads read, and write every thousandth time; once") for n in (1, 8)),
    locks("cond", 2, (1, 2), "two threads wake each other by conditions; there and back"),
    *(locks("sem", n, (2,), f"{n} threads take one of half as many places; once") for n in (1, 8)),
    *(locks("barrier", n, (2,), f"{n} threads meet at a barrier; one thread, once") for n in (2, 16, 1000)),
    locks("event", 10_000, (2,), "an event that 10,000 threads wait for; until the last one runs, a thread"),
    *(gil_convoy(hogs) for hogs in (0, 1, 2, 4, 8)),
    Workload("pingpong", "pingpong", 2, (1, 2), "a number there and back by two rendezvous"),
    queue(1, 1, workers=(1, 2)),
    queue(1, 4),
    queue(4, 1),
    queue(4, 4, workers=(1, 2)),
    queue(64, 64),
    queue(4, 4, item=64),
    queue(4, 4, item=1024),
    queue(4, 4, capacity=RENDEZVOUS),
    queue(4, 4, capacity=1),
    queue(4, 4, capacity=UNBOUNDED),
    select(2),
    select(8),
    select(8, RENDEZVOUS),
    Workload("sieve", "sieve", 1000, (1, 2), "the first 1000 primes, a thread each that filters; rendezvous"),
    *(echo(connections) for connections in (1, 64, 1000, 9900)),
    echo(64, 16 << 10),
    Workload("idle-connection", "idle-connection", 9900, (2,), "a connection that waits: memory"),
    *(files("file-read", size << 10, "one block after the other") for size in (4, 64)),
    *(files("file-pread", size << 10, "at random places") for size in (4, 64)),
    executor("executor", 1000, "1000 tasks are submitted to a pool, then each result is taken; a task"),
    executor("executor-1us", 1000, "the same with tasks that compute for 1 us"),
    executor("processes", 1000, "1000 tasks are submitted to an executor of as many processes as CPUs, then each result is taken; a task"),
    Workload("processes-chunked", "processes-chunked", 1000, (1, 2), "a map over 100,000 items in processes, in chunks of 1000; an item", {"processes-chunked": "processes-chunked"}),
    executor("executor-100us", 100, "the same with 100 tasks that compute for 100 us"),
    mapped(1),
    mapped(1000),
    *(starts(method, n) for method in ("forkserver", "spawn", "fork", "exec") for n in (1, 16)),
    locks("shared-lock", 1, (1,), "one process takes and releases a lock in shared memory; once"),
    locks("shared-lock", 2, (1,), "two processes take one lock in shared memory; once"),
    *(messages(size) for size in (64, 4 << 10, 1 << 20)),
    Workload("manager-call", "manager-call", 64, (1, 2), "a task of a manager's is called with 64 B, and gives them back"),
    Workload("manager-queue", "manager-queue", 64, (1, 2), "64 B put into a queue of a manager's, and got"),
    Workload("pipe", "pipe", 64, (1, 2), "a message of 64 B there and back between two processes"),
    Workload("trace-event", "trace-event", 1, (1,), "an event of a recording; and the same call while nothing is recorded", {"trace-event": "trace-event", "trace-off": "trace-off"}, "traced"),
    Workload("echo-64-overhead", "echo-overhead", 64, (1, 2), "how much longer a round trip takes while it is recorded, and of CPU time", {"echo-overhead": "echo-64-overhead", "echo-overhead-cpu": "echo-64-overhead-cpu"}, "traced"),
    traced("pingpong", "pingpong", 2, (1, 2), {"pingpong": "pingpong"}),
    traced("skynet", "skynet", MILLION, (2,), {"skynet": "skynet"}),
    traced("echo-64", "echo", 64, (1, 2), {"echo": "echo-64", "echo-p99": "echo-p99-64"}),
    timers("timers", MILLION, "timers", "", "main"),
    timers("timers-random", MILLION, "timers-random", "", "main"),
    timers("timers", 10, "timers-10", "-10", "growth"),
    timers("timers", 1000, "timers-1000", "-1000", "growth"),
    *(growth("queue-fill", n, f"{n:,} items put into a queue without limit, then got; one") for n in SIZES),
    *(growth("queue-priority", n, f"the least of {n:,} items got, and one put; both") for n in SIZES),
]

# For the table of growth: metric, workers, and the name of the value at 10, 1,000 and 1,000,000.
GROWTH = [
    ("spawn", 1, ("spawn-10", "spawn", "spawn-1000000")),
    ("yield", 1, ("yield-10", "yield-1000", "yield-1000000")),
    ("parked-create", 2, ("parked-create-10", "parked-create-1000", "parked-create")),
    ("parked-bytes", 2, ("parked-bytes-10", "parked-bytes-1000", "parked-bytes")),
    ("sleepers-p99", 2, ("sleepers-p99-10", "sleepers-p99-1000", "sleepers-p99")),
    ("timers-start", 1, ("timers-start-10", "timers-start-1000", "timers-start")),
    ("timers-cancel", 1, ("timers-cancel-10", "timers-cancel-1000", "timers-cancel")),
    ("queue-fill", 1, ("queue-fill-10", "queue-fill-1000", "queue-fill-1000000")),
    ("queue-priority", 1, ("queue-priority-10", "queue-priority-1000", "queue-priority-1000000")),
]


def matching(word):
    """The workloads that a word on the command line means: by name, else by metric, family or group, else by
    pattern."""
    exact = [w for w in WORKLOADS if word == w.name]
    loose = [w for w in WORKLOADS if word in (w.family, w.group) or word in w.names().values()]
    return exact or loose or [w for w in WORKLOADS if fnmatch(w.name, word)]
