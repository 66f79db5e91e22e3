"""The subjects: thrum and its peers, how each is built and called, and what it has no way to do."""

import functools
import os
import re
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

BENCH = Path(__file__).resolve().parent.parent
ROOT = BENCH.parent
OUT = ROOT / "build" / "bench"

NEVER_PREEMPTED = "tasks and fibers are not preempted"
KERNEL_THREADS = 10_000  # more would take the process numbers of the whole machine


class Missing(Exception):
    """The machine lacks what a subject needs, or its build fails."""


@dataclass
class Subject:
    name: str
    kind: str  # light: threads with stacks; stackless; tasks: they cannot wait; kernel
    what: str
    build: object  # () -> the beginning of the command
    does: dict  # family -> the program's word for it
    lacks: dict = field(default_factory=dict)  # family or workload -> why there is nothing to measure
    one_worker: bool = False
    most: int = 0  # the largest n that is tried, 0: any
    fixed_slice: bool = False  # its switch interval cannot be set
    arguments: object = lambda word, n, workers: [word, str(n), str(workers)]
    environment: dict = field(default_factory=dict)

    def workers(self, asked):
        return 1 if self.one_worker else asked

    def why_not(self, workload, workers):
        """Why this subject has no value here, or None."""
        if workload.name in self.lacks:
            return self.lacks[workload.name]
        if workload.family not in self.does:
            return self.lacks.get(workload.family, "")
        if self.one_worker and workers > 1 and 1 in workload.workers:
            return ""
        if self.most and workload.threads > self.most:
            return f"more than {self.most:,} kernel threads are not tried"
        if self.fixed_slice and workload.family == "slice" and workload.name != "slice":
            return "its switch interval is fixed"
        return None

    def command(self, prefix, workload, workers):
        return prefix + self.arguments(self.does[workload.family], workload.n, self.workers(workers))


# ---- Building -------------------------------------------------------------------------------------------


def tool(name):
    path = shutil.which(name)
    if not path:
        raise Missing(f"no {name} here")
    return path


def once(build):
    """Several subjects may share a program, which is built once; a failure is not repeated either."""

    @functools.cache
    def outcome():
        try:
            return build(), None
        except Missing as reason:
            return None, reason

    def cached():
        program, reason = outcome()
        if reason:
            raise reason
        return program

    return cached


def call(command, **options):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, **options)
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines()
        errors = [line for line in lines if "error" in line.lower()]
        reason = (errors or lines[-1:] or ["no reason given"])[0]
        raise Missing(f"does not build: {reason.strip()[:160]}")
    return done.stdout


def compiled(name, sources, libraries, header=None, flags=()):
    """Builds a C or C++ peer with the system's compiler."""

    @once
    def build():
        OUT.mkdir(parents=True, exist_ok=True)
        include = ["-I", str(BENCH / "common")]
        common, program = OUT / "bench.o", OUT / name
        cc, cxx = tool(os.environ.get("CC", "cc")), os.environ.get("CXX", "c++")
        if header and subprocess.run(
            [tool(cxx), "-x", "c++", "-E", "-include", header, os.devnull], capture_output=True
        ).returncode:
            raise Missing(f"no <{header}> here")
        call([cc, "-std=gnu11", "-O2", *include, "-c", str(BENCH / "common/bench.c"), "-o", str(common)])
        compiler = [tool(cxx), "-std=c++17"] if sources[0].endswith(".cpp") else [cc, "-std=gnu11"]
        files = [*(str(BENCH / "peers" / source) for source in sources), str(common)]
        call([*compiler, "-O2", *flags, *include, *files, "-o", str(program), *libraries])
        return [str(program)]

    return build


@once
def thrum_program():
    """The program that Meson built: ./dev says where, else the release build."""
    directory = Path(os.environ.get("THRUM_BUILD", ROOT / "build" / "release"))
    if not (directory / "build.ninja").exists():
        raise Missing(f"thrum is not configured in {directory}")
    call([tool("ninja"), "-C", str(directory), "bench/thrum-bench"])
    return [str(directory / "bench" / "thrum-bench")]


@once
def go_program():
    OUT.mkdir(parents=True, exist_ok=True)
    call([tool("go"), "build", "-o", str(OUT / "go"), "."], cwd=BENCH / "peers" / "go")
    return [str(OUT / "go")]


def cargo_program(name):
    @once
    def build():
        target = OUT / "cargo"
        environment = dict(os.environ, CARGO_TARGET_DIR=str(target))
        call([tool("cargo"), "build", "--release", "--quiet"], cwd=BENCH / "peers" / name, env=environment)
        return [str(target / "release" / f"bench-{name}")]

    return build


def jdk():
    """The newest JDK from 21 on, which is the first with virtual threads."""
    homes = [os.environ.get("JAVA_HOME"), *Path("/usr/lib/jvm").glob("*")]
    on_path = shutil.which("javac")
    if on_path:
        homes.append(Path(on_path).resolve().parent.parent)
    found = {}
    for home in filter(None, homes):
        javac, release = Path(home) / "bin/javac", Path(home) / "release"
        version = release.exists() and re.search(r'JAVA_VERSION="(\d+)', release.read_text())
        if javac.exists() and version:
            found[int(version[1])] = Path(home)
    if not found or max(found) < 21:
        raise Missing("no JDK from version 21 on here" + (f", only {max(found)}" if found else ""))
    return found[max(found)]


@once
def java_program():
    home, classes = jdk(), OUT / "java"
    call([str(home / "bin/javac"), "-d", str(classes), *map(str, (BENCH / "peers/java").glob("*.java"))])
    return [str(home / "bin/java"), "-cp", str(classes)]


def java_arguments(word, n, workers):
    scheduler = "-Djdk.virtualThreadScheduler"
    return [f"{scheduler}.parallelism={workers}", f"{scheduler}.maxPoolSize={workers}", "Bench", word, str(n)]


def python_program(script):
    return lambda: [tool("python3"), str(BENCH / "peers/cpython" / script)]


tokio_program = cargo_program("tokio")


# ---- The table ------------------------------------------------------------------------------------------


def words(*families, **others):
    return {**{family: family for family in families}, **{k.replace("_", "-"): v for k, v in others.items()}}


CONVOYS = ("convoy", "convoy-malloc")
ALL = ("spawn", "yield", "forkjoin", "skynet", "parked", "sleepers", "slice", *CONVOYS)
FORKS = ("nqueens", "uts", "matmul")
LOOPS = ("for", "for-uneven", "reduce")
SCOPES = ("scope", "cancel")
LOCKS = ("lock", "lock-100ns", "lock-10us")
SYNC = (*LOCKS, "rwlock", "cond", "sem", "barrier", "event")
QUEUES = ("queue", "pingpong")
FILLS = ("queue-fill", "queue-priority")
SELECTS = ("select", "sieve")
TIMERS = ("timers", "timers-random")
EXECUTORS = ("executor", "executor-1us", "executor-100us")
FILES = ("file-read", "file-pread")
PROCESSES = ("pipe",)
SHARED = ("shared-lock", "process-queue")
MANAGERS = ("manager-call", "manager-queue")
POOLS = ("processes", "processes-chunked")
TRACED = ("trace-event", "echo-overhead", "echo-traced", "pingpong-traced", "skynet-traced")
STARTS = ("process-forkserver", "process-spawn", "process-fork", "process-exec")
IO = ("echo", "idle-connection", *FILES)
RENDEZVOUS, UNBOUNDED = "queue-4x4-8-rendezvous", "queue-4x4-8-unbounded"
OFFLOAD = {family: f"{family}-offload" for family in CONVOYS}
TASKS_ONLY = dict.fromkeys(
    ("yield", "parked", "sleepers", "slice", *CONVOYS), "a task cannot yield, park, sleep or be preempted"
)
KERNEL_THREAD_EACH = dict.fromkeys(
    ("forkjoin", "skynet"), "hundreds of thousands of kernel threads at once are not to be had"
)

SUBJECTS = [
    Subject(
        "thrum",
        "light",
        "thrum, 32 KiB stacks where a million wait",
        thrum_program,
        words(*ALL, *SCOPES, *FORKS, *LOOPS, *SYNC, "gil-convoy", *QUEUES, *FILLS, *SELECTS, *TIMERS, *EXECUTORS, "executor-map", *IO, *PROCESSES, *STARTS, *POOLS, *SHARED, *MANAGERS, *TRACED),
    ),
    Subject("thrum-256k", "light", "thrum, default stacks", thrum_program, {"parked": "parked-default"}),
    Subject(
        "go",
        "light",
        "goroutines",
        go_program,
        words(*ALL, *SCOPES, *FORKS, *LOOPS, *SYNC, *QUEUES, *FILLS, *SELECTS, *TIMERS, *EXECUTORS, "executor-map", *IO, "process-spawn", "process-exec"),
        {UNBOUNDED: "a channel has a limit", "process-forkserver": "there is none", "process-fork": "there is none"},
        fixed_slice=True,
    ),
    Subject("go-waitgroup", "light", "goroutines, WaitGroup", go_program, {"skynet": "skynet-join"}),
    Subject(
        "go-goroutine",
        "light",
        "a goroutine and a channel for each task",
        go_program,
        {family: f"{family}-goroutine" for family in EXECUTORS},
    ),
    Subject(
        "tokio",
        "stackless",
        "Tokio tasks (Rust)",
        tokio_program,
        {
            family: family
            for family in (*ALL, *QUEUES, "queue-fill", *SELECTS, *TIMERS, *EXECUTORS, *IO)
            if family != "slice"
        },
        {
            "slice": NEVER_PREEMPTED,
            **dict.fromkeys((RENDEZVOUS, "select-8-rendezvous"), "a channel has a place"),
        },
    ),
    Subject(
        "tokio-flume",
        "stackless",
        "Tokio, flume's channels",
        tokio_program,
        {family: f"{family}-flume" for family in QUEUES},
    ),
    Subject("tokio-offload", "stackless", "Tokio, hogs by spawn_blocking", tokio_program, OFFLOAD),
    Subject("rayon", "tasks", "Rayon's join (Rust)", cargo_program("rayon"), words("forkjoin", "skynet", *FORKS, *LOOPS)),
    Subject(
        "java",
        "light",
        "virtual threads",
        java_program,
        {family: family for family in (*ALL, "echo", *EXECUTORS) if family != "slice"},
        {"slice": "virtual threads are not preempted"},
        arguments=java_arguments,
    ),
    Subject(
        "java-offload",
        "light",
        "Java, hogs on platform threads",
        java_program,
        OFFLOAD,
        arguments=java_arguments,
    ),
    Subject(
        "java-forkjoin",
        "tasks",
        "Java's ForkJoinPool",
        java_program,
        {family: f"{family}-pool" for family in ("forkjoin", *EXECUTORS)},
        arguments=java_arguments,
    ),
    Subject(
        "pthread",
        "kernel",
        "POSIX threads",
        compiled("pthread", [f"pthread/{part}.c" for part in ("pthread", "sync", "queue", "io", "pipe")], ["-pthread"]),
        {family: family for family in (*ALL, *SYNC, *QUEUES, *IO, *PROCESSES) if family not in KERNEL_THREAD_EACH},
        {**KERNEL_THREAD_EACH, **dict.fromkeys((RENDEZVOUS, UNBOUNDED), "a ring has places, and a limit")},
        most=KERNEL_THREADS,
        fixed_slice=True,
    ),
    Subject(
        "cpython-pool",
        "kernel",
        "CPython's multiprocessing.Pool",
        python_program("threads.py"),
        {"processes": "processes-pool", "processes-chunked": "processes-pool-chunked"},
    ),
    Subject(
        "cpython",
        "kernel",
        "CPython's threading",
        python_program("threads.py"),
        {
            family: family
            for family in (*ALL, "lock", "cond", "sem", "barrier", "event", "gil-convoy", *QUEUES, *FILLS, *EXECUTORS, "executor-map", *PROCESSES, *STARTS, *POOLS, *SHARED, *MANAGERS)
            if family not in KERNEL_THREAD_EACH
        },
        {
            **KERNEL_THREAD_EACH,
            "rwlock": "threading has none",
            RENDEZVOUS: "queue has none",
            **dict.fromkeys(("queue-4x4-64", "queue-4x4-1024"), "an item is a reference"),
        },
        one_worker=True,
        most=KERNEL_THREADS,
    ),
    Subject(
        "asyncio",
        "stackless",
        "CPython's asyncio, hogs by to_thread",
        python_program("tasks.py"),
        words("spawn", "yield", "parked", "sleepers", "convoy", "timers"),
        {"slice": NEVER_PREEMPTED},
        one_worker=True,
    ),
    Subject(
        "asyncio-protocol",
        "callbacks",
        "CPython's asyncio, protocols instead of tasks",
        python_program("net.py"),
        words("echo", "idle-connection"),
        one_worker=True,
    ),
    Subject(
        "cpython-os",
        "kernel",
        "CPython's os.read and os.pread",
        python_program("net.py"),
        words(*FILES),
        one_worker=True,
    ),
    Subject(
        "libuv",
        "callbacks",
        "libuv, one loop a worker",
        compiled("libuv", ["libuv/libuv.c"], ["-luv", "-pthread"], "uv.h"),
        words(*IO),
    ),
    Subject(
        "boost-fiber",
        "light",
        "Boost.Fiber, work_stealing for 2 workers",
        compiled(
            "boost-fiber",
            ["boost-fiber/fiber.cpp", "boost-fiber/queue.cpp"],
            ["-lboost_fiber", "-lboost_context", "-pthread"],
            "boost/fiber/all.hpp",
        ),
        words("spawn", "yield", "forkjoin", "skynet", "parked", "sleepers", *QUEUES),
        {
            "slice": NEVER_PREEMPTED,
            UNBOUNDED: "a channel has a limit",
            **dict.fromkeys(CONVOYS, "waits for no descriptors"),
        },
    ),
    Subject(
        "boost-interprocess",
        "kernel",
        "Boost.Interprocess, a mutex and a message_queue",
        compiled(
            "boost-interprocess",
            ["boost-interprocess/shared.cpp"],
            ["-lrt", "-pthread"],
            "boost/interprocess/ipc/message_queue.hpp",
        ),
        words(*SHARED),
    ),
    Subject(
        "tbb",
        "tasks",
        "oneTBB's task_group",
        compiled("tbb", ["tbb/tbb.cpp", "tbb/parallel.cpp", "tbb/executor.cpp"], ["-ltbb"], "oneapi/tbb/task_group.h"),
        words("spawn", "forkjoin", "skynet", *FORKS, *LOOPS, *EXECUTORS),
        TASKS_ONLY,
    ),
    Subject(
        "tbb-mutex",
        "kernel",
        "oneTBB's mutexes, POSIX threads",
        compiled("tbb-mutex", ["tbb/sync.cpp"], ["-ltbb", "-pthread"], "oneapi/tbb/mutex.h"),
        words(*LOCKS, "rwlock"),
        dict.fromkeys(SYNC, "oneTBB has none"),
        most=KERNEL_THREADS,
    ),
    Subject(
        "tbb-queue",
        "kernel",
        "oneTBB's queues, POSIX threads",
        compiled("tbb-queue", ["tbb/queue.cpp"], ["-ltbb", "-pthread"], "oneapi/tbb/concurrent_queue.h"),
        words(*QUEUES, *FILLS),
        {RENDEZVOUS: "a queue has a place"},
        most=KERNEL_THREADS,
    ),
    Subject(
        "ck",
        "kernel",
        "Concurrency Kit's rings, POSIX threads that try again",
        compiled("ck", ["ck/queue.c"], ["-pthread"], "ck_ring.h"),
        words(*QUEUES),
        {
            **dict.fromkeys((RENDEZVOUS, UNBOUNDED), "a ring has places, and a limit"),
            **dict.fromkeys(
                ("queue-4x4-8-1", "queue-64x64"), "threads without a CPU each that all try again get nowhere"
            ),
        },
        most=KERNEL_THREADS,
    ),
    Subject(
        "nsync",
        "kernel",
        "nsync, POSIX threads",
        compiled("nsync", ["nsync/nsync.c"], ["-lnsync", "-pthread"], "nsync.h"),
        words(*LOCKS, "rwlock", "cond", "event"),
        dict.fromkeys(SYNC, "nsync has none"),
        most=KERNEL_THREADS,
    ),
    Subject(
        "openmp",
        "tasks",
        "OpenMP tasks (libgomp)",
        compiled("openmp", ["openmp/openmp.c", "openmp/parallel.c"], [], "omp.h", ["-fopenmp"]),
        words("spawn", "forkjoin", "skynet", *FORKS, *LOOPS),
        TASKS_ONLY,
    ),
    Subject(
        "pth",
        "light",
        "GNU Pth",
        compiled("pth", ["pth/pth.c"], ["-lpth"], "pth.h"),
        {family: family for family in ALL if family != "slice"},
        {"slice": NEVER_PREEMPTED},
        one_worker=True,
    ),
    Subject(
        "st",
        "light",
        "State Threads",
        compiled("st", ["st/st.c"], ["-lst"], "st.h"),
        {family: family for family in ALL if family != "slice"},
        {"slice": NEVER_PREEMPTED},
        one_worker=True,
    ),
]
