"""Checks what chapter 9 of the tour promises."""
import re

from common import TOUR, expect, in_one_of, run


def chapter9(build):
    in_one_of(3, lambda: check_submit(run(build / "9-1-submit").stdout), "two threads do all five, and what has begun is not cancelled")
    check_map(run(build / "9-2-map").stdout.splitlines())
    in_one_of(3, lambda: check_as_completed(run(build / "9-3-as-completed").stdout.splitlines()), "in the order of completion")
    in_one_of(3, lambda: check_one_line(run(build / "9-4-one-line").stdout), "a pool is faster")
    in_one_of(3, lambda: check_scope(run(build / "9-5-a-scope").stdout), "only who fails is named")


def check_submit(output):
    lines = output.splitlines()
    expect([line for line in lines if re.match(r"\d squared", line)] == [f"{n} squared is {n * n}" for n in range(5)],
           "results in the order of asking", output)
    done = re.findall(r"^\t(pool-\d) has squared (\d)$", output, re.MULTILINE)
    expect(sorted(n for _, n in done) == list("01234") and {by for by, _ in done} <= {"pool-0", "pool-1"}, "each is done once", output)
    expect(lines[10] == "the task failed: No such file or directory, since no table is named prices", "one fails", output)
    expect(lines[-1] == "now it has its result: 42", "one has its result", output)
    return len({by for by, _ in done}) == 2 and lines[11:-1] == [
        "no result within 20 ms, and the task goes on", "cancel one that runs: no, too late",
        "cancel one that has not begun: yes"], output


def check_map(lines):
    sources = sorted(TOUR.glob("9-*.c"))
    wanted = [f"{s.name:20} longest line {max(map(len, s.read_bytes().split(bytes([10])))):3}" for s in sources]
    squares = f"100000 squares, sum {sum(n * n for n in range(100000))}"
    expect(lines == wanted + [squares, f"{len(sources) + 100} tasks in all"], "results in order", "\n".join(lines))


def check_as_completed(lines):
    """Times are the machine's, but the order of ten sleeps 20 ms apart is almost always theirs."""
    text = "\n".join(lines)
    shown = [re.fullmatch(r"\[(#+)(\.*)\] +(\d+) of 10: +(\d+) ms", line) for line in lines if line.startswith("[")]
    expect(all(shown) and [int(m[3]) for m in shown] == list(range(1, len(shown) + 1)), "each counts once", text)
    expect(all(len(m[1]) == int(m[3]) and len(m[1] + m[2]) == 10 for m in shown), "the bar", text)
    late = [f"time is over: {10 - len(shown)} of 10 are not done"] if len(shown) < 10 else []
    expect(lines[len(shown):] == [*late, "all are done"], "the end", text)
    delays = [int(m[4]) for m in shown]
    return delays == sorted(delays) and 4 <= len(shown) <= 6, text


def check_one_line(output):
    found = re.findall(r"^(\w+) +(\d+) primes below 40000, by (\d) threads?, in (\d+) ms$", output, re.MULTILINE)
    primes = sum(all(n % d for d in range(2, int(n ** 0.5) + 1)) for n in range(2, 40000))
    expect([f[0] for f in found] == ["inline", "threads", "processes"] and {int(f[1]) for f in found} == {primes}, "the same result", output)
    (_, _, by, slow), (_, _, others, fast), (_, _, elsewhere, _) = found
    expect(by == "1" and int(others) > 1 and int(elsewhere) >= 1 and int(slow) >= 160, "by one thread, and by several", output)
    return int(fast) < int(slow) / 2, output


def check_scope(output):
    order = re.findall(r"^\t(fetch-\d) has put its things in order, since Operation canceled$", output, re.MULTILINE)
    tail = ["all of them are gone after a moment",
            "the thread: Operation canceled; the inner scope: Operation canceled; the outer one: Connection timed out",
            "threads left: 1, main"]
    expect("failed: Input/output error. fetch-2: the server hung up\n" in output, "the first failure", output)
    expect(output.splitlines()[-1] == tail[-1] and len(order) <= 3, "all end together", output)
    return output.splitlines()[-3:] == tail and sorted(order) == ["fetch-0", "fetch-1", "fetch-3"], output
