#!/usr/bin/env python3
"""Checks what each chapter of the tour promises: check.py chapter0|...|chapter9|run TOUR_BUILD_DIR

Threads end in any order and take any time, so lines are compared as sets and counts. What must come last, or
in a certain order, is said so in the check.
"""
import fcntl
import os
import random
import re
import resource
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import termios
import time
import zlib
from pathlib import Path

from common import TOUR, expect, in_one_of, run, same_lines
from futures import chapter9
from processes import chapter8

HELLOS = [f"{n} Hello!" for n in range(5)]
GOODBYES = [f"{n} Goodbye!" for n in range(5)]


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
        with tempfile.TemporaryDirectory() as elsewhere:
            os.chmod(elsewhere, 0o755)
            unprivileged = shutil.copy(program, elsewhere)
            output = run(unprivileged, str(root), user=65534, group=65534, extra_groups=[]).stdout
    expect("2 unreadable" in output and "Permission denied" in output, "two are unreadable and counted", output)
    (root / "closed").chmod(stat.S_IRWXU)
    return output


def check_progress(program):
    """On a terminal a line tells how far it is, and is gone before the result. The file is long and takes no room."""
    with tempfile.TemporaryDirectory() as folder:
        with open(Path(folder) / "long", "wb") as f:
            f.truncate(1 << 30)
        ours, theirs = os.openpty()
        with subprocess.Popen([program, folder], stdout=theirs) as process:
            os.close(theirs)
            output = b""
            while b" changed meanwhile" not in output:
                output += os.read(ours, 4096)
        os.close(ours)
    expect(process.returncode == 0, "it ends in order")
    expect(re.search(rb"\r\033\[K  0 files, \d+ MiB \.\.\.", output), "a line with what has been read", str(output))
    expect(all(f"\r\033[K{title}" in output.decode() for title in ("first pass", "one thread", "threads")),
           "the result of each pass takes its place", str(output))


def chapter0(build):
    program = build / "0-1-checksums"
    check_progress(program)
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
    in_one_of(5, lambda: check_overlap(run(build / "1-1-workers").stdout), "two workers run both at once")


def check_overlap(output):
    expect(output.count("78498 and 78498 primes") == 2, "below a million are 78498 primes, each time", output)
    lanes = [lane for _, lane in lanes_of(output)]
    expect(len(lanes) == 4, "two lanes for each number of workers", output)
    expect(turns(lanes[0]) > 2 and turns(lanes[1]) > 2, "with one worker the two take turns", output)
    took, both = zip(*((int(m[1]), int(m[2])) for m in re.finditer(r"primes in (\d+) ms, both at once for (\d+) ms$",
                                                                   output, re.MULTILINE)))
    expect(len(took) == 2 and both[0] * 10 <= took[0], "with one worker never both at once", output)
    return len(os.sched_getaffinity(0)) < 2 or both[1] > 1 + 2 * both[0], output


# ---- Chapter 2 ---------------------------------------------------------------------------------------------

def chapter2(build):
    for program, count in ("2-1-serially", 5), ("2-2-a-thread", 1), ("2-3-five-threads", 5):
        same_lines(run(build / program).stdout.splitlines(), ["Hello!"] * count, program)
    torn = {check_torn_print(run(build / "2-4-torn-print").stdout) for _ in range(10)}
    expect(torn != {"Hello!\n" * 5}, "two pieces are torn, in one of ten runs at least")
    same_lines(run(build / "2-5-random-sleeps").stdout.splitlines(), HELLOS, "random sleeps")
    check_names(run(build / "2-6-names").stdout.splitlines())
    check_results(run(build / "2-7-results"))
    in_one_of(3, lambda: check_exercise(run(build / "2-8-hello-and-goodbye").stdout.splitlines()), "all are there when they are listed")
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
    listed = [line.strip() for line in lines if line.startswith("  ")]
    same_lines([line for line in lines if not line.startswith("  ")], HELLOS + GOODBYES, "the exercise")
    return sorted(listed[:-1]) == sorted(names) and listed[-1] == "11 threads" and lines[11].strip() == listed[-1], "\n".join(lines)


# ---- Chapter 3 ---------------------------------------------------------------------------------------------

def chapter3(build):
    in_one_of(3, lambda: check_sleeping(run(build / "3-1-sleeping").stdout.splitlines()), "a long sleep is long enough, and a short one is not")

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


def check_sleeping(lines):
    done = [line for line in lines if line.startswith("*** DONE! ***")]
    same_lines([line for line in lines if line not in done], 2 * HELLOS, "all end, whoever waits for them")
    return done == [f"*** DONE! *** with {left} threads left, after {time} s" for left, time in ((0, "0.70"), (5, "0.05"))] and \
        lines[5] == done[0] and lines[6] == done[1], "\n".join(lines)


def done_comes_last(lines, count):
    expect(len(lines) == count and lines[-1].startswith("*** DONE! ***"), "DONE comes last", "\n".join(lines))


# ---- Chapter 4 ---------------------------------------------------------------------------------------------

def chapter4(build):
    in_one_of(3, lambda: check_slices(run(build / "4-1-slices").stdout), "turns are as long as the interval, and more with a shorter one")
    check_waiting(run(build / "4-2-waiting").stdout)
    check_instructions(run(build / "4-3-instructions").stdout)
    check_lost_updates(run(build / "4-4-lost-updates").stdout)
    in_one_of(3, lambda: check_no_convoy(run(build / "4-5-no-convoy").stdout), "the median beside hogs is below 2 ms")


def check_slices(output):
    lanes = lanes_of(output)
    expect([name for name, _ in lanes] == ["hog-0", "hog-1", "hog-2"] * 2, "three lanes, twice", output)
    expect(all("#" in lane for _, lane in lanes), "each hog ran", output)
    of_5_ms, of_1_ms = re.findall(r": (\d+) turns, the median (\d+\.\d) ms long$", output, re.MULTILINE)
    return 9 < int(of_5_ms[0]) < int(of_1_ms[0]) and 4 <= float(of_5_ms[1]) <= 20 and float(of_1_ms[1]) < 4, output


def check_waiting(output):
    figures = re.match(r"(\d+) messages, (\d+) of them before the counting ended at (\d+); ", output).groups()
    messages, meanwhile, rounds = map(int, figures)
    expect(messages == 15 and rounds > 0, "all messages arrive, and the counting goes on", output)
    expect(meanwhile > 0, "messages do not wait for the counting to end", output)
    expect([name for name, _ in lanes_of(output)] == ["writer", "reader", "counting"], "three lanes", output)


def check_instructions(output):
    expect("thrum_print" in output, "hello calls thrum_print", output)
    if "<hello>:" in output:  # by objdump, in a build without `thrum dis`
        expect(all(output.count(f"<{f}>:\n") == 1 for f in ("plainly", "indivisibly")), "all are disassembled", output)
        return
    hello, plainly, indivisibly = re.split(r"^(?=\w+ in \S+ at 0x)", output, flags=re.MULTILINE)[1:]
    expect(hello.startswith("hello ") and re.search(r"thrum_print +<- may park", hello), "a switch may fall in thrum_print", hello)
    expect(plainly.startswith("plainly ") and re.search(r"<- (loads x|reads and writes x)", plainly), "x += 1 can be torn", plainly)
    expect(indivisibly.startswith("indivisibly ") and "<- atomic" in indivisibly, "the atomic addition cannot", indivisibly)
    expect("<- atomic" not in plainly and "4-3-instructions.c:" in plainly, "lines, and nothing else", output)


def check_lost_updates(output):
    plain, lost, exact = re.search(r"x \+= 1 +(\d+) of 20000000, (\d+) lost.*\natomic add +(\d+) of 20000000, 0 lost",
                                   output).groups()
    expect(int(plain) + int(lost) == int(exact) == 20000000, "the sums", output)
    expect(int(lost) > 0, "plain additions get lost", output)


def check_no_convoy(output):
    """All round trips are in the rows; beside hogs the median is far from the switch interval of 5 ms."""
    rows = [(float(m[1]), int(m[2]), int(m[3])) for m in re.finditer(r"^ +([\d.]+) +(\d+) #* +(\d+) ?#*$", output, re.MULTILINE)]
    for column in 1, 2:
        expect(sum(row[column] for row in rows) == 1000, "a thousand round trips", output)
    before = 0
    for limit, _, beside in rows:
        before += beside
        if before >= 500:
            break
    return limit < 2, output


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

    in_one_of(3, lambda: check_philosophers(run(build / "5-4-philosophers").stdout), "nobody starves")

    lines = run(build / "5-5-a-few-at-a-time").stdout.splitlines()
    expect(len([line for line in lines if "has a connection, " in line]) == 10, "each gets one", "\n".join(lines))
    expect(lines[-1] == "10 threads, 3 connections, at most 3 in use at once", "three and no more", "\n".join(lines))


def check_philosophers(output):
    shares = [int(n) for n in re.findall(r"meals, +(\d+) %$", output, re.MULTILINE)]
    expect(len(shares) == 5, "five eat", output)
    return min(shares) >= 8, output


def check_deadlock(output):
    """Each waits for what the other one holds, and both are named."""
    threads = {m[1]: m[0] for m in re.finditer(r'^"(\w+)" #.*$', output, re.MULTILINE)}
    for name, lock, other in ("forth", "there", "back"), ("back", "here", "forth"):
        expect(re.search(rf"waits for a? ?lock.*\b{lock}\b.*held by .*{other}", threads.get(name, "")), f"{name} waits", output)
    report, after = output.split("the child ended with status 86\n")
    expect("has both" not in report, "nobody gets both", output)
    same_lines(after.split("\n")[1:-1], ["forth has both", "back has both"], "in one order all is well")


# ---- Chapter 6 ---------------------------------------------------------------------------------------------

READERS, PLACES, BLOCK = 4, 64, 64 * 1024


def chapter6(build):
    check_put_and_get(run(build / "6-1-put-and-get").stdout.splitlines())
    in_one_of(3, lambda: check_select(run(build / "6-2-select").stdout), "all stories come")
    pipeline = build / "6-3-pipeline"
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        root.chmod(0o755)
        check_pipeline(pipeline, make_texts(root), str(root))
        output = check_unreadable(pipeline, root)
        expect(re.search(r"^the first unreadable: .*/(closed|secret): Permission denied$", output, re.MULTILINE),
               "what is unreadable is named", output)
    with tempfile.TemporaryDirectory() as folder:
        expect("\n0 files counted, 0 bytes, 0 words, in 1 folders" in "\n" + run(pipeline, folder).stdout, "an empty folder")
    error = run(pipeline, "/nowhere at all", status=1).stderr
    expect("/nowhere at all: No such file or directory\nname folders or files" in error, "error and remedy", error)
    check_interrupted(pipeline)
    in_one_of(3, lambda: check_terminal(pipeline), "each redrawing is seen at once")


def check_put_and_get(lines):
    text = "\n".join(lines)
    puts = done = 0
    for line in lines:
        if line == f"put {puts}":
            puts += 1
            expect(puts - done <= 3 + 2, "no more than three wait and two are in work", text)
        done += bool(re.fullmatch(r"\tconsumer-[01] has done \d+", line))
        if line.startswith("all are done"):
            expect((puts, done) == (12, 12), "join waits for all", text)
    same_lines([line.split()[-1] for line in lines if line.startswith("\t")], map(str, range(12)), "each job once")
    expect(lines[-2:] == ["all are done, and 2 consumers wait for more", "*** DONE! *** 12 of 12"], "the end", text)


def check_select(output):
    """Whatever the machine does, each reporter is heard in order. If the desk closes too soon, it says so."""
    told = {town: [line for line in output.splitlines() if line.startswith(town)] for town in ("Oslo", "Lima", "Kyoto")}
    stories = output.count(": story ")
    for town, lines in told.items():
        wanted = [f"{town}: story {n}" for n in range(1, 5)] + [f"{town} has ended"]
        expect(lines == wanted[:len(lines)] and not (town == "Kyoto" and len(lines) == 5), f"{town} in order", output)
    expect(output.endswith(f"silence; the desk closes with {stories} of 12 stories\n"), "all are counted", output)
    return [len(lines) for lines in told.values()] == [5, 5, 4], output


def make_texts(root):
    """Texts with words at, before and across the borders of blocks. Returns path -> content, in the pipeline's order."""
    letters = random.Random(6).choices(b"ab \n\t", k=3 * BLOCK + 17)
    texts = {"empty": b"", "no-newline": b"last word", "blank": b" \t\n\v\f\r", "a": b"a", "with \xff\x85\xa0": b"\xff \x85\xa0",
             "across": b"x" * (2 * BLOCK + 1), "blank at the border": b"x" * (BLOCK - 1) + b" y",
             "block": b"y z " * (BLOCK // 4), "random": bytes(letters), "deep/er/leaf": b"leaf\n"}
    texts |= {f"many/{i}": b"word " * i for i in range(300)}
    for name, text in texts.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text)
    (root / "link").symlink_to("a")
    os.mkfifo(root / "fifo")
    order = sorted(texts, key=lambda name: [part.encode() for part in name.split("/")])
    return {str(root / name): texts[name] for name in order}


def check_texts(output, texts):
    listed = re.findall(r"^([0-9a-f]{8}) +(\d+) +(\d+) (/.*)$", output, re.MULTILINE)
    wanted = [(f"{zlib.crc32(t):08x}", str(len(t)), str(len(t.split())), path) for path, t in texts.items()]
    expect(listed == wanted, "checksum, size and words of each file are those of another implementation",
           "\n".join(map(str, set(listed) ^ set(wanted))))
    crc = 0
    for path, text in texts.items():
        crc = zlib.crc32(zlib.crc32(text).to_bytes(4, sys.byteorder), zlib.crc32(os.fsencode(path), crc))
    sizes, words = sum(map(len, texts.values())), sum(len(t.split()) for t in texts.values())
    expect(f"{len(texts)} files counted, {sizes} bytes, {words} words, in " in output, "the totals", output)
    expect(f"the checksum of all {crc:08x}" in output, "the checksum of all", output)


def gauges(output):
    """Name of the queue -> its places, how full it was, its items, puts that waited, gets that waited."""
    rows = re.findall(r"^(\w+) +(\d+) +(\d+) +(\d+) +(\d+), for +[\d.]+ s +(\d+), for +[\d.]+ s$", output, re.MULTILINE)
    return {row[0]: tuple(map(int, row[1:])) for row in rows}


def check_pipeline(program, texts, folder):
    output = run(program, folder, "--list").stdout
    check_texts(output, texts)
    expect("1 symbolic links, 1 pipes, " in output and " 0 unreadable" in output, "what is left out", output)
    expect("stopped" not in output and "\r" not in output, "a plain summary", output)
    rows = gauges(output)
    items = len(texts) + sum(-(-len(text) // BLOCK) for text in texts.values())
    expect([rows[name][2] for name in ("paths", "blocks", "counts")] == [len(texts), items, items], "the queues' items", output)
    for places, fullest, count, puts, gets in rows.values():
        expect(1 <= fullest <= places and puts <= count and (puts == 0 or fullest == places), "the gauges agree", output)


def await_state(holds, what):
    end = time.monotonic() + 60
    while not holds():
        expect(time.monotonic() < end, f"in vain: {what}")
        time.sleep(0.01)


def await_line(stream, pattern):
    seen = []
    for line in stream:
        seen.append(line)
        if re.search(pattern, line):
            return seen
    expect(False, f"a line with {pattern} before the end", "".join(seen))


def unread(fd):
    return int.from_bytes(fcntl.ioctl(fd, termios.FIONREAD, bytes(4)), sys.byteorder)


def check_interrupted(program):
    """Each reader is made to sit in a silent pipe, so that at Ctrl-C it is known what was done, begun and found."""
    pipes = [os.pipe() for _ in range(READERS + 1)]
    ends = [f"/dev/fd/{read}" for read, _ in pipes]
    with tempfile.TemporaryDirectory() as folder:
        one, two, rest = Path(folder, "one"), Path(folder, "two"), Path(folder, "rest")
        one.write_bytes(b"one file")
        two.write_bytes(b"")
        rest.mkdir()
        for i in range(200):
            (rest / str(i)).write_bytes(b"never read")
        arguments = [*ends[:READERS], str(one), str(two), ends[READERS], str(rest), "--list"]
        with subprocess.Popen([program, *arguments], stdout=subprocess.PIPE, text=True,
                              pass_fds=[read for read, _ in pipes]) as process:
            for _, write in pipes:
                os.write(write, b"begun, and hel")
            await_state(lambda: unread(pipes[0][1]) == 0, "the first piece is read")
            os.write(pipes[0][1], b"lo")
            os.close(pipes[0][1])  # its reader goes on with one, two and the last pipe
            await_state(lambda: not any(unread(write) for _, write in pipes[1:]), "all other pipes are begun")
            await_line(process.stdout, rf" 3 of {READERS + 3 + 200} files, \d+ MB/s, \d+\.\d s left, queues {PLACES}/{PLACES} 0/16 0/16$")
            process.send_signal(signal.SIGINT)
            output = process.stdout.read()
        expect(process.returncode == 130, f"the status is 130, not {process.returncode}", output)
        check_texts(output, {ends[0]: b"begun, and hello", str(one): b"one file", str(two): b""})
    begun, found, names = map(int, re.search(r"^stopped: (\d+) files begun and not counted, (\d+) found and not begun, "
                                             r"(\d+) names not looked at$", output, re.MULTILINE).groups())
    expect(begun == READERS and found + names == 200 and PLACES <= found <= PLACES + 1, "each file is accounted for", output)
    expect(gauges(output)["paths"][:2] == (PLACES, PLACES), "the walker was held back", output)
    for fd in [read for read, _ in pipes] + [write for _, write in pipes[1:]]:
        os.close(fd)


def check_terminal(program):
    """The line is there before the end, and gone after it."""
    ours, theirs = os.openpty()
    with subprocess.Popen([program, "/dev/stdin"], stdin=subprocess.PIPE, stdout=theirs) as process:
        os.close(theirs)
        output = b""
        while b"0 of 1 files" not in output:
            output += os.read(ours, 4096)
        redrawings = output.count(b"\r")
        process.stdin.write(b"text")
        process.stdin.close()
        while b"counts " not in output:
            output += os.read(ours, 4096)
    expect(process.returncode == 0, "the end of the pipe ends it")
    expect(re.search(rb"\r\033\[K  \.{24}  0 %, 0 of 1 files, 0 MB/s, ", output), "a line with a bar", str(output))
    expect(b"\r\033[K1 files counted, 4 bytes, 1 words" in output, "the summary takes its place", str(output))
    os.close(ours)
    return redrawings < 4, str(output)


# ---- Chapter 7 ---------------------------------------------------------------------------------------------

def chapter7(build):
    lines = run(build / "7-1-a-starting-gun").stdout.splitlines()
    same_lines(lines[:2], ["5 are at the line", "runner-5 goes home"], "before the gun")
    runs = [re.sub(r", \d+\.\d{3} ms after the gun$", "", line) for line in lines[2:8]]
    same_lines(runs, [f"runner-{n} runs" for n in range(5)] + ["latecomer runs"], "after the gun")
    expect(runs[-1] == "latecomer runs" and lines[8:] == ["the gun is loaded again"], "the end", "\n".join(lines))

    check_timers(build / "7-2-timers")
    in_one_of(3, lambda: check_ticker(run(build / "7-3-a-ticker").stdout), "a ticker does not drift")
    in_one_of(3, lambda: check_watchdog(run(build / "7-4-a-watchdog").stdout), "only who hangs is named, and why")


def check_timers(program):
    start = time.monotonic()
    output = run(program).stdout
    expect(time.monotonic() - start < 25, "a cancelled timer does not keep the program")
    after = float(re.match(r"tea is ready after ([\d.]+) ms; said by Thread-\d+ \(serve\)$", output, re.MULTILINE)[1])
    expect(after >= 30, "a timer is never early", output)
    expect("\ncancel says of the cake 1, once more 0, of the tea 0\n" in output, "what cancel says", output)
    called, cancelled = map(int, re.search(r"^500 timers: (\d+) called, (\d+) cancelled$", output, re.MULTILINE).groups())
    expect(called + cancelled == 500 and "cake is ready" not in output, "either called or cancelled", output)


def check_ticker(output):
    loop, ticker = map(float, re.findall(r"after 50 rounds of 4 ms: +(-?[\d.]+) ms late$", output, re.MULTILINE))
    away = int(re.search(r"the next wait says (\d+)$", output, re.MULTILINE)[1])
    expect(loop >= 50 and ticker >= 0 and away >= 10, "nothing comes early", output)
    expect(output.endswith("stopped: it says -EPIPE\n"), "the end", output)
    return ticker < 10 and away == 10, output


def check_watchdog(output):
    named = re.findall(r"no sign of life from (\S+) for 300 ms$", output, re.MULTILINE)
    expect(named and re.search(r"\nclosed: server-1 had \d+ requests\n$", output), "whoever is named, it ends", output)
    why = re.search(r'^"server-1" .* waits for input on descriptor \d+', output, re.MULTILINE)
    return named == ["server-1"] and why and output.endswith("server-1 had 10 requests\n"), output


# ---- tour/run ----------------------------------------------------------------------------------------------

def check_run(build):
    output = run(TOUR / "run", build, "3").stdout
    expect("Chapter 3. Joining threads" in output and "Chapter 2" not in output, "one chapter", output)
    for source in TOUR.glob("3-*.c"):
        title = source.read_text().split("\n")[0].removeprefix("/* ")
        expect(title in output and f"the source: tour/{source.name}" in output, f"title and source of {source}", output)
    check_timelines(build, output)
    output = run(TOUR / "run", build, "0", str(TOUR)).stdout
    expect(f"folders below {TOUR}" in output, "chapter 0 takes a folder", output)
    expect("no chapter 10" in run(TOUR / "run", build, "10", status=1).stderr, "an unknown chapter is said so")
    with tempfile.TemporaryDirectory() as empty:
        expect("2-1-serially" in run(TOUR / "run", empty, "2", status=1).stderr, "what is not built is named")
    expect("ended with status 1" in run(TOUR / "run", build, "0", "/nowhere at all", status=1).stdout,
           "a program's failure is the tour's")
    check_interrupted_run(build)


def check_timelines(build, output):
    """A chapter ends with the lanes of one of its programs; each has a page, and the index leads to it."""
    if not (build.parent / "cli" / "thrum").exists():
        return
    lanes = set(re.findall(r"^ {2}(\S+(?: \d)?) +\|.*\|$", output, re.MULTILINE))
    expect({"MainThread", "worker 0"} | {f"hello-{n}" for n in range(5)} <= lanes, "a lane for each thread", output)
    folder = build.parent.parent / "tour"
    index = (folder / "index.html").read_text()
    for source in TOUR.glob("3-*.c"):
        page = (folder / f"{source.stem}.html").read_text()
        expect(f'href="{source.stem}.html"' in index and page.rstrip().endswith("</html>"), f"a page of {source.stem}")


def check_interrupted_run(build):
    """Ctrl-C reaches all that run on a terminal: the program tells what it did, and the tour ends."""
    with subprocess.Popen([TOUR / "run", build, "6", "/dev/stdin"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          text=True, start_new_session=True) as process:
        await_line(process.stdout, " 0 of 1 files")
        os.killpg(process.pid, signal.SIGINT)
        output = process.stdout.read()
    expect("stopped: 1 files begun and not counted" in output and process.returncode == 130, "told, and ended", output)


if __name__ == "__main__":
    checks = {"run": check_run, "chapter0": chapter0, "chapter1": chapter1, "chapter2": chapter2,
              "chapter3": chapter3, "chapter4": chapter4, "chapter5": chapter5, "chapter6": chapter6, "chapter7": chapter7,
              "chapter8": chapter8, "chapter9": chapter9}
    checks[sys.argv[1]](Path(sys.argv[2]).resolve())
