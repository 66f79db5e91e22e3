#!/usr/bin/env python3
"""Checks what each chapter of the tour promises: check.py chapter0|...|chapter5|run TOUR_BUILD_DIR

Threads end in any order and take any time, so lines are compared as sets and counts. What must come last, or
in a certain order, is said so in the check.
"""
import os
import re
import resource
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import zlib
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TOUR = ROOT / "tour"
HELLOS = [f"{n} Hello!" for n in range(5)]
GOODBYES = [f"{n} Goodbye!" for n in range(5)]


def expect(condition, what, output=""):
    if not condition:
        sys.exit(f"FAILED: {what}\n{output}")


def run(program, *arguments, status=0, **how):
    done = subprocess.run([program, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          errors="surrogateescape", timeout=100, **how)
    expect(done.returncode == status, f"{program} ends with {done.returncode}, not {status}",
           done.stdout + done.stderr)
    return done


def same_lines(got, wanted, what):
    expect(Counter(got) == Counter(wanted), f"{what}: the lines, in any order", "\n".join(got))


def lanes_of(text):
    """The marks of each lane drawn, in the order of drawing."""
    return re.findall(r"^ {2}(\S+) +\|([#.]+)\|$", text, re.MULTILINE)


def turns(lane):
    return len(re.findall(r"#+", lane))


# ---- Chapter 0 ---------------------------------------------------------------------------------------------

def make_tree(root):
    """All that a folder may hold. Returns path -> checksum, by another implementation."""
    contents = {"empty": b"", "one": b"x", "name with spaces and \n a newline": b"text",
                b"not-utf8-\xff".decode(errors="surrogateescape"): b"bytes",
                "piece": os.urandom(4 << 20), "piece-and-one": os.urandom((4 << 20) + 1),
                "deep/" + "/".join("d" * 100 for _ in range(20)) + "/leaf": b"leaf"}
    contents |= {f"many/{i}": str(i).encode() * i for i in range(1000)}
    for name, data in contents.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    huge = root / "huge"
    with huge.open("wb") as f:
        f.truncate(100 << 20)
        f.seek(70 << 20)
        f.write(b"in the middle of a hole")
    (root / "folder without files").mkdir()
    (root / "to-a-file").symlink_to("one")
    (root / "to-nothing").symlink_to("nowhere")
    (root / "to-its-own-folder").symlink_to(".")
    os.mkfifo(root / "fifo")
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(str(root / "socket"))
    files = [p for p in root.rglob("*") if p.is_file() and not p.is_symlink()]
    return {str(p): zlib.crc32(p.read_bytes()) for p in files}


def check_list(output, sums):
    listed = {}
    for crc, size, path in re.findall(r"^([0-9a-f]{8}) +(\d+) (/.*(?:\n a newline)?)$", output, re.MULTILINE):
        expect(path not in listed, f"{path} is listed twice")
        expect(int(size) == os.stat(path).st_size, f"the size of {path}")
        listed[path] = int(crc, 16)
    expect(listed == sums, "the checksum of each file is that of another implementation",
           f"{len(listed)} listed, {len(sums)} wanted: {listed.keys() ^ sums.keys()}")


def check_few_descriptors(program, folder):
    limit = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    output = run(program, folder, preexec_fn=limit).stdout
    expect("0 unreadable" in output and "0 files differ" in output, "64 descriptors are enough", output)


def check_unreadable(program, root):
    """Files that may not be read, asked by somebody without privileges."""
    (root / "secret").write_bytes(b"secret")
    (root / "secret").chmod(0)
    (root / "closed").mkdir(mode=0)
    if os.getuid() != 0:
        output = run(program, str(root)).stdout
    else:
        unprivileged = root / "program"
        shutil.copy(program, unprivileged)
        output = run(unprivileged, str(root), user=65534, group=65534, extra_groups=[]).stdout
        unprivileged.unlink()
    expect("2 unreadable" in output and "Permission denied" in output, "two are unreadable and counted", output)
    (root / "closed").chmod(stat.S_IRWXU)


def chapter0(build):
    program = build / "0-1-checksums"
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        root.chmod(0o755)
        sums = make_tree(root)
        output = run(program, folder, "--list").stdout
        check_list(output, sums)
        expect(f"\n{len(sums)} files, " in output, "the number of files", output[-1000:])
        expect("3 symbolic links, 2 pipes, sockets and devices, 0 on other file systems, 0 unreadable" in output,
               "what is left out is counted", output[-1000:])
        expect("0 files differ" in output and "0 changed" in output, "both passes agree", output[-1000:])
        expect(re.search(r"^threads .* threads started: [1-9]\d{3}$", output, re.MULTILINE),
               "thousands of threads", output[-1000:])
        check_few_descriptors(program, folder)
        check_unreadable(program, root)
    with tempfile.TemporaryDirectory() as folder:
        expect("0 files, 0 bytes" in run(program, folder).stdout, "an empty folder")
    expect("No such file" in run(program, "/nowhere at all", status=1).stderr, "no such folder is said so")
    expect("Not a directory" in run(program, str(program), status=1).stderr, "a file is no folder")
    expect("\r" not in run(program, str(TOUR)).stdout, "no redrawn line where there is no terminal")


# ---- Chapter 1 ---------------------------------------------------------------------------------------------

def chapter1(build):
    output = run(build / "1-1-workers").stdout
    expect(output.count("78498 and 78498 primes") == 2, "below a million are 78498 primes, each time", output)
    lanes = [lane for _, lane in lanes_of(output)]
    expect(len(lanes) == 4, "two lanes for each number of workers", output)
    expect(turns(lanes[0]) > 2 and turns(lanes[1]) > 2, "with one worker the two take turns", output)


# ---- Chapter 2 ---------------------------------------------------------------------------------------------

def chapter2(build):
    for program, count in ("2-1-serially", 5), ("2-2-a-thread", 1), ("2-3-five-threads", 5):
        same_lines(run(build / program).stdout.splitlines(), ["Hello!"] * count, program)
    torn = {check_torn_print(run(build / "2-4-torn-print").stdout) for _ in range(10)}
    expect(torn != {"Hello!\n" * 5}, "two pieces are torn, in one of ten runs at least")
    same_lines(run(build / "2-5-random-sleeps").stdout.splitlines(), HELLOS, "random sleeps")
    check_names(run(build / "2-6-names").stdout.splitlines())
    check_results(run(build / "2-7-results"))
    check_exercise(run(build / "2-8-hello-and-goodbye").stdout.splitlines())
    same_lines(run(build / "2-9-in-turn").stdout.splitlines(), HELLOS + GOODBYES, "in turn")


def check_torn_print(output):
    torn, whole = output.removeprefix("in two pieces:\n").split("with thrum_print:\n")
    expect(torn.count("Hello!") == 5 and torn.count("\n") == 5 and len(torn) == 35, "all pieces arrive", output)
    expect(whole == "Hello!\n" * 5, "thrum_print tears no line", output)
    return torn


def check_names(lines):
    unnamed = [line for line in lines if re.fullmatch(r"Hello! I am Thread-\d+ \(hello\)", line)]
    expect(len(unnamed) == 1, "one has the name that thrum gives", "\n".join(lines))
    same_lines(lines, unnamed + [f"Hello! I am {name}" for name in ("hello-1", "incognito", "MainThread")], "names")
    expect(lines[-1].endswith("MainThread"), "main comes last, for it has joined the others")


def check_results(done):
    expect(done.stdout.splitlines()[:3] == ["square: 49", "greeting: Hello, world!",
                                            "look_up: No such file or directory: there is no table colours"],
           "number, pointer, failure", done.stdout)
    expect("unheard" in done.stderr and "there is no table colours" in done.stderr,
           "a failure that nobody can read is told", done.stderr)


def check_exercise(lines):
    names = ["MainThread"] + [f"hello-{n}" for n in range(5)] + [f"goodbye-{n}" for n in range(5)]
    same_lines([line.strip() for line in lines[:11]], names, "the list of all")
    expect(lines[11].strip() == "11 threads", "main and ten more", "\n".join(lines))
    same_lines(lines[12:], HELLOS + GOODBYES, "the exercise")


# ---- Chapter 3 ---------------------------------------------------------------------------------------------

def chapter3(build):
    lines = run(build / "3-1-sleeping").stdout.splitlines()
    same_lines(lines[:5], HELLOS, "the long sleep is long enough")
    expect(lines[5] == "*** DONE! *** with 0 threads left, after 0.70 s", "DONE after the first five", "\n".join(lines))
    expect(lines[6].startswith("*** DONE! *** with 5 threads left"), "DONE before the second five", "\n".join(lines))
    same_lines(lines[7:], HELLOS, "they end all the same")

    lines = run(build / "3-2-join-inside-the-loop").stdout.splitlines()
    expect(lines[:5] == HELLOS, "in order, for each is waited for", "\n".join(lines))
    done_comes_last(lines, 6)

    lines = run(build / "3-3-list-of-joins").stdout.splitlines()
    joins = [line for line in lines if line.startswith("\t")]
    expect(joins == [f"\tNow joining hello-{n}" for n in range(5)], "joined in order", "\n".join(lines))
    same_lines([line for line in lines[:-1] if line not in joins], HELLOS, "the list of joins")
    done_comes_last(lines, 11)

    lines = run(build / "3-4-timed-joins").stdout.splitlines()
    same_lines(lines[:-1], HELLOS + [f"\tRemoved hello-{n}" for n in range(5)], "timed joins")
    for n in range(5):
        expect(lines.index(f"{n} Hello!") < lines.index(f"\tRemoved hello-{n}"), "removed after its end", "\n".join(lines))
    done_comes_last(lines, 11)


def done_comes_last(lines, count):
    expect(len(lines) == count and lines[-1].startswith("*** DONE! ***"), "DONE comes last", "\n".join(lines))


# ---- Chapter 4 ---------------------------------------------------------------------------------------------

def chapter4(build):
    output = run(build / "4-1-slices").stdout
    lanes = lanes_of(output)
    expect([name for name, _ in lanes] == ["hog-0", "hog-1", "hog-2"] * 2, "three lanes, twice", output)
    expect(all("#" in lane for _, lane in lanes), "each hog ran", output)
    of_5_ms, of_1_ms = map(int, re.findall(r": (\d+) turns, the median", output))
    expect(9 < of_5_ms < of_1_ms, "with a shorter interval they take turns more often", output)
    check_waiting(run(build / "4-2-waiting").stdout)
    check_instructions(run(build / "4-3-instructions").stdout)
    check_lost_updates(run(build / "4-4-lost-updates").stdout)


def check_waiting(output):
    figures = re.match(r"(\d+) messages, (\d+) of them before the counting ended at (\d+); ", output).groups()
    messages, meanwhile, rounds = map(int, figures)
    expect(messages == 15 and rounds > 0, "all messages arrive, and the counting goes on", output)
    expect(meanwhile > 0, "messages do not wait for the counting to end", output)
    expect([name for name, _ in lanes_of(output)] == ["writer", "reader", "counting"], "three lanes", output)


def check_instructions(output):
    for function in "hello", "plainly", "indivisibly":
        expect(output.count(f"<{function}>:\n") == 1, f"{function} is disassembled", output)
    expect("thrum_print" in output, "hello calls thrum_print", output)


def check_lost_updates(output):
    plain, lost, exact = re.search(r"x \+= 1 +(\d+) of 20000000, (\d+) lost.*\natomic add +(\d+) of 20000000, 0 lost",
                                   output).groups()
    expect(int(plain) + int(lost) == int(exact) == 20000000, "the sums", output)
    expect(int(lost) > 0, "plain additions get lost", output)


# ---- Chapter 5 ---------------------------------------------------------------------------------------------

def chapter5(build):
    lines = run(build / "5-1-torn").stdout.splitlines()
    expect([re.sub(" +", " ", line) for line in lines[:4]] ==
           ["first reads 0", "second reads 0", "second writes 100", "first writes 100"], "torn", "\n".join(lines))
    expect(lines[4:] == ["paid in 200, the balance is 100: 100 lost"], "one of two is lost", "\n".join(lines))

    output = run(build / "5-2-mended").stdout
    lost = [int(n) for n in re.findall(r" of 4000, (\d+) lost$", output, re.MULTILINE)]
    expect(len(lost) == 4 and lost[0] > 2000 and lost[1:] == [0, 0, 0], "all but the first way loses nothing", output)

    check_deadlock(run(build / "5-3-deadlock").stdout)

    output = run(build / "5-4-philosophers").stdout
    shares = [int(n) for n in re.findall(r"meals, +(\d+) %$", output, re.MULTILINE)]
    expect(len(shares) == 5 and min(shares) >= 8, "nobody starves", output)

    lines = run(build / "5-5-a-few-at-a-time").stdout.splitlines()
    expect(len([line for line in lines if "has a connection, " in line]) == 10, "each gets one", "\n".join(lines))
    expect(lines[-1] == "10 threads, 3 connections, at most 3 in use at once", "three and no more", "\n".join(lines))


def check_deadlock(output):
    """Each waits for what the other one holds, and both are named."""
    threads = {m[1]: m[0] for m in re.finditer(r'^"(\w+)" #.*$', output, re.MULTILINE)}
    for name, lock, other in ("forth", "there", "back"), ("back", "here", "forth"):
        expect(re.search(rf"waits for a? ?lock.*\b{lock}\b.*held by .*{other}", threads.get(name, "")), f"{name} waits", output)
    report, after = output.split("the child ended with status 86\n")
    expect("has both" not in report, "nobody gets both", output)
    same_lines(after.split("\n")[1:-1], ["forth has both", "back has both"], "in one order all is well")


# ---- tour/run ----------------------------------------------------------------------------------------------

def check_run(build):
    output = run(TOUR / "run", build, "3").stdout
    expect("Chapter 3. Joining threads" in output and "Chapter 2" not in output, "one chapter", output)
    for source in TOUR.glob("3-*.c"):
        title = source.read_text().split("\n")[0].removeprefix("/* ")
        expect(title in output and f"the source: tour/{source.name}" in output, f"title and source of {source}", output)
    output = run(TOUR / "run", build, "0", str(TOUR)).stdout
    expect(f"folders below {TOUR}" in output, "chapter 0 takes a folder", output)
    expect("no chapter 9" in run(TOUR / "run", build, "9", status=1).stderr, "an unknown chapter is said so")
    with tempfile.TemporaryDirectory() as empty:
        expect("2-1-serially" in run(TOUR / "run", empty, "2", status=1).stderr, "what is not built is named")
    expect("ended with status 1" in run(TOUR / "run", build, "0", "/nowhere at all", status=1).stdout,
           "a program's failure is the tour's")


if __name__ == "__main__":
    checks = {"run": check_run, "chapter0": chapter0, "chapter1": chapter1, "chapter2": chapter2,
              "chapter3": chapter3, "chapter4": chapter4, "chapter5": chapter5}
    checks[sys.argv[1]](Path(sys.argv[2]).resolve())
