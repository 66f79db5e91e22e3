#!/usr/bin/env python3
"""dis.py THRUM SOURCE_ROOT BUILD: `thrum dis` on small programs, compiled in several ways.

What is asserted is what matters of the notes, not the compiler's choice of instructions. Compilers that are not there are
left out, and named; gcc has to be there.
"""
import json
import os
import pty
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

sys.dont_write_bytecode = True
THRUM, ROOT, BUILD = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
sys.path.insert(0, str(ROOT / "tools"))
from headers import exported, machinery  # noqa: E402

HERE = Path(__file__).resolve().parent
VARIABLES = {"thrumi_mode", "thrumi_mark_tls"}  # of the machinery: not called


def expect(condition, what, shown=""):
    if not condition:
        sys.exit(f"dis: expected: {what}\n{shown}")


def thrum(*arguments, **options):
    environment = {**os.environ, "COLUMNS": "", **options.pop("env", {})}
    return subprocess.run([THRUM, "dis", *map(str, arguments)], capture_output=True, text=True, timeout=60,
                          env=environment, **options)


def run_json(*arguments):
    result = thrum("--json", *arguments)
    expect(result.returncode == 0, f"{arguments} is disassembled", result.stderr)
    return json.loads(result.stdout)


def fails(*arguments, status=1, says=()):
    result = thrum(*arguments)
    expect(result.returncode == status and result.stdout == "", f"status {status} of {arguments}, and no output",
           f"{result.returncode}\n{result.stdout}\n{result.stderr}")
    for text in says:
        expect(text in result.stderr, f"`{text}` in the message of {arguments}", result.stderr)


def compile_one(folder, compiler, name, *flags, sources=(HERE / "sampled.c",)):
    out = folder / name
    command = [*compiler, "-g", "-I", str(ROOT / "include"), *map(str, sources), "-o", str(out), *flags]
    subprocess.run(command, check=True)
    return out


# ---- What is found in each function ------------------------------------------------------------------------------

def notes(listing, kind):
    return [(i, n) for i in listing["instructions"] for n in i["notes"] if n["kind"] == kind]


def callees(listing, kind):
    return [i["callee"] for i, _ in notes(listing, kind)]


class Case:
    """A function of one program. Counts of notes are checked, and that there is nothing else."""

    def __init__(self, program, function, label):
        self.listing = run_json(program, function)
        self.label = f"{function} of {label}"
        self.arm = self.listing["machine"] == "aarch64"

    def check(self, condition, what):
        expect(condition, f"{self.label}: {what}", json.dumps(self.listing, indent=1))

    def counts(self, **wanted):
        for kind in "parks", "ends", "blocks", "unknown", "split", "shared", "atomic":
            found = self.listing["summary"][kind]
            least = wanted.get(kind, 0)
            self.check(found == least, f"{least} of {kind}, and not {found}")

    def one_torn(self, what=None):
        """One read-modify-write, in one instruction or by load and store."""
        s = self.listing["summary"]
        self.check(s["split"] + s["shared"] == 1 and s["atomic"] == 0, "one plain read-modify-write")
        self.check(not self.arm or s["split"] == 1, "aarch64 has no instruction that does both")
        if what:
            self.check(all(what in n["text"] for _, n in notes(self.listing, "split") + notes(self.listing, "shared")),
                       f"it is of {what}")
        return s["split"] == 1


def check_memory(program, label):
    Case(program, "adds", label).one_torn("counter")
    Case(program, "adds_doubles", label).one_torn("sum")
    Case(program, "adds_to_libc", label).one_torn("optind")
    Case(program, "by_pointer", label).one_torn()
    Case(program, "element", label).one_torn()
    pops = Case(program, "pops", label)
    pops.check(pops.one_torn("head"), "a load and a store")
    Case(program, "only_sets", label).counts()
    Case(program, "own_local", label).counts()
    lent = Case(program, "lent_local", label)
    lent.one_torn("a local whose address went out")
    atomic = Case(program, "adds_atomically", label)
    atomic.counts(atomic=atomic.listing["summary"]["atomic"])
    atomic.check(atomic.listing["summary"]["atomic"] in ((1, 2) if atomic.arm else (1,)), "it is atomic")

    slow = Case(program, "parks_in_between", label)
    slow.counts(split=1, parks=1)
    (load, first), (store, second) = notes(slow.listing, "split")
    slow.check(first["with"] == store["address"] and second["with"] == load["address"], "the two name each other")
    slow.check(load["offset"] < store["offset"] and "may park" in second["text"], "the call in between is mentioned")


def check_calls(program, label):
    hello = Case(program, "hello", label)
    hello.counts(parks=1)
    hello.check(callees(hello.listing, "parks") == ["thrum_print"], "thrum_print parks")
    last = Case(program, "yields_last", label)
    last.counts(parks=1)
    last.check(callees(last.listing, "parks") == ["thrum_yield"], "thrum_yield parks, called or jumped to")
    Case(program, "leaves", label).counts(ends=1)
    asks = Case(program, "asks", label)
    asks.counts()
    asks.check(any(i["callee"] == "thrum_current" for i in asks.listing["instructions"]), "the call is named")

    blocks = Case(program, "blocks", label)
    blocks.check(set(callees(blocks.listing, "blocks")) == {"read", blocks_printf(blocks), "usleep", "pthread_mutex_lock"}
                 and blocks.listing["summary"]["blocks"] == 4, "four calls block")
    blocks.check(any("thrum_read" in n["text"] for _, n in notes(blocks.listing, "blocks")), "what to call instead")
    Case(program, "calls_own", label).counts()
    Case(program, "calls_unknown", label).counts(unknown=1)
    within = Case(program, "has_cold_part", label)
    within.counts(parks=2)
    within.check(all("seldom calls thrum_yield" in n["text"] for _, n in notes(within.listing, "parks")), "by whom it is called")
    deep = Case(program, "calls_deep", label)
    deep.counts(parks=1)
    deep.check("within: seldom calls thrum_yield" in notes(deep.listing, "parks")[0][1]["text"], "also two calls away")


def blocks_printf(case):
    """Its name, which hardening may have changed."""
    names = [i["callee"] for i in case.listing["instructions"] if i["callee"] and "printf" in i["callee"]]
    case.check(len(names) == 1, "printf is called")
    return names[0]


def check_inlined(program, label, optimised):
    locked = Case(program, "locked", label)
    slow = [i for i, _ in notes(locked.listing, "parks")]
    if not optimised:  # without optimisation thrum_lock_acquire alone is inlined, and its callees are not
        locked.check(any(i["callee"] == "thrumi_lock_acquire_slow" for i in slow), "the slow path parks")
        return
    locked.check([i["callee"] for i in slow] == ["thrumi_lock_acquire_slow"], "the slow path parks, and nothing else")
    locked.check(slow[0]["inlined"] == "thrum_lock_acquire", "it belongs to what is inlined there")
    locked.check(slow[0]["file"].endswith("sampled.c"), "its line is the program's own")
    locked.check(locked.listing["summary"]["atomic"] >= 2, "acquire and release are atomic")
    locked.check(not notes(locked.listing, "split"), "a compare-and-swap after a look is no plain update")


def check_lines_and_labels(program, label):
    loop = Case(program, "own_local", label)
    targets = [i for i in loop.listing["instructions"] if i["is_jump_target"]]
    loop.check(targets and [t["label"] for t in targets] == list(range(1, len(targets) + 1)), "labels are numbered")
    addresses = {t["address"] for t in targets}
    jumps = [i for i in loop.listing["instructions"] if i["target"] in addresses]
    loop.check(jumps and all(re.search(r"\bL\d+$", j["text"]) for j in jumps), "jumps name labels")
    source = (HERE / "sampled.c").read_text().splitlines()
    texts = [source[i["line"] - 1] for i in loop.listing["instructions"] if i["line"]]
    loop.check(any("total += i" in t for t in texts), "lines are those of the loop")
    size = sum(len(i["bytes"]) // 2 for i in loop.listing["instructions"])
    loop.check(size == loop.listing["size"], "all bytes are shown")


def check_program(program, label, optimised):
    check_memory(program, label)
    check_calls(program, label)
    check_inlined(program, label, optimised)
    check_lines_and_labels(program, label)


# ---- Ways to build ---------------------------------------------------------------------------------------------------

def shared_library():
    return ["-L", str(BUILD / "src"), "-lthrum", f"-Wl,-rpath,{BUILD / 'src'}", "-pthread"]


def check_native(folder):
    libraries = shared_library()
    static = [str(BUILD / "src" / "libthrum.a"), "-pthread", "-ldl"]
    for compiler in "gcc", "clang":
        if not shutil.which(compiler):
            print(f"no {compiler} here")
            continue
        for level in "-O0", "-O2":
            label = f"{compiler} {level}"
            check_program(compile_one(folder, [compiler], "dynamic" + label.replace(" ", ""), level, *libraries), label,
                          level == "-O2")
            Case(folder / f"dynamic{compiler}{level}", "adds_to_own", label).counts()
    label = "gcc -O2 -no-pie -fno-plt, libthrum.a"
    check_program(compile_one(folder, ["gcc"], "no-pie", "-O2", "-no-pie", "-fno-plt", *static), label, True)
    shared = compile_one(folder, ["gcc"], "shared.so", "-O2", "-shared", "-fPIC", *libraries)
    check_memory(shared, "gcc -O2 -shared")
    hardened = compile_one(folder, ["gcc"], "hardened", "-O2", "-U_FORTIFY_SOURCE", "-D_FORTIFY_SOURCE=2", *libraries)
    Case(hardened, "blocks", "gcc -O2 -D_FORTIFY_SOURCE=2").counts(blocks=4)
    check_static(folder, static)
    check_cold(folder / "dynamicgcc-O2")


def check_static(folder, libraries):
    """libc's functions are in the program, under names of its own."""
    program = compile_one(folder, ["gcc"], "static", "-O2", "-static", "-Wl,-w", *libraries)
    case = Case(program, "blocks", "gcc -O2 -static")
    expect(len(notes(case.listing, "blocks")) == 4, "four calls block in a static program", json.dumps(case.listing, indent=1))
    Case(program, "hello", "gcc -O2 -static").counts(parks=1)


def check_cold(program):
    cold = Case(program, "has_cold_part", "gcc -O2")
    parts = {i["part"] for i in cold.listing["instructions"]}
    cold.check(parts == {"has_cold_part", "has_cold_part.cold"}, "both parts are shown")
    jumps = [i for i in cold.listing["instructions"] if i["part"] == "has_cold_part" and i["target"]]
    cold.check(any(re.search(r"\bL\d+$", j["text"]) for j in jumps), "the jump there names a label")


def check_aarch64(folder):
    compiler = "aarch64-linux-gnu-gcc"
    if not shutil.which(compiler):
        print(f"no {compiler} here")
        return
    # There is no library of thrum's for it here: a shared object may leave names open.
    open_names = ["-shared", "-fPIC", "-nostdlib"]
    for level in "-O0", "-O2":
        program = compile_one(folder, [compiler], "aarch64" + level, level, *open_names)
        check_program(program, f"{compiler} {level}", level == "-O2")
    newer = compile_one(folder, [compiler], "aarch64-lse", "-O2", "-march=armv8.1-a", *open_names)
    atomic = Case(newer, "adds_atomically", "armv8.1-a")
    expect(any(re.match(r"ldaddal +x\d+, (x\d+|xzr), \[x\d+\]$", i["text"]) for i, _ in notes(atomic.listing, "atomic")), "an atomic instruction is named",
           json.dumps(atomic.listing, indent=1))
    whole = compile_one(folder, [compiler], "aarch64-whole", "-O2", "-static", "-nostdlib", "-Wl,-e,main",
                        "-Wl,--unresolved-symbols=ignore-all")
    Case(whole, "adds_to_own", "a whole program for aarch64").counts()
    Case(whole, "adds", "a whole program for aarch64").one_torn("counter")
    pair = Case(compile_one(folder, [compiler], "aarch64-pair", "-O2", "-mno-outline-atomics", *open_names), "adds_atomically", "")
    pair.counts(atomic=2)


# ---- Text ----------------------------------------------------------------------------------------------------------------

def check_text(program):
    text = thrum(program, "hello").stdout
    expect(re.search(r"^hello in \S+ at 0x[0-9a-f]+, \d+ bytes, sampled\.c:\d+$", text, re.M), "a head", text)
    expect(re.search(r"\+0x[0-9a-f]+  ([0-9a-f]{2} )+ +call\w* +thrum_print +<- may park: ", text), "the call and its note", text)
    expect("return thrum_print(" in text and re.search(r"^ +1 call that may park$", text, re.M), "source and summary", text)
    expect("\033" not in text, "no colours into a pipe", text)
    expect("return thrum_print(" not in thrum("--no-source", program, "hello").stdout, "no source")
    expect("\\n\"" in text, "the text that an operand leads to", text)
    loop = thrum(program, "own_local").stdout
    expect(re.search(r"^ +>> L1: +\+0x", loop, re.M), "jump targets are marked", loop)
    narrow = thrum(program, "blocks", env={"COLUMNS": "72"}).stdout.splitlines()
    wide = [line for line in narrow if len(line) > 72 and not re.search(r"0x|dynamic", line)]
    expect(not wide, "lines keep to the width", "\n".join(wide))
    expect(any(line.lstrip().startswith("<- blocks") for line in narrow), "notes go below", "\n".join(narrow))
    expect("\033[" in on_terminal(program, {}), "colours on a terminal")
    expect("\033[" not in on_terminal(program, {"NO_COLOR": "1"}), "none with NO_COLOR")


def on_terminal(program, environment):
    pid, fd = pty.fork()
    if pid == 0:
        os.environ.pop("NO_COLOR", None)
        os.environ.update(environment)
        os.execv(THRUM, [THRUM, "dis", str(program), "hello"])
    text = b""
    try:
        while piece := os.read(fd, 4096):
            text += piece
    except OSError:  # the other end has closed
        pass
    expect(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0, "it ends well on a terminal", text.decode())
    return text.decode()


# ---- What is not there ----------------------------------------------------------------------------------------------------

def check_errors(folder, program):
    fails(program, "yields_lost", says=("no function `yields_lost`", "yields_last"))
    fails(program, "other.c:hello", says=("there is one called `hello` in", "sampled.c"))
    fails(program, "0x1", says=("no function at 0x1",))
    fails("/no/such", "main", says=("/no/such: No such file",))
    fails(folder, "main", says=("not a file",))
    fails(HERE / "dis.py", "main", says=("not an ELF file",))
    fails(BUILD / "src" / "libthrum.a", "main", says=("a program that it is linked into",))
    fails(program, status=2, says=("name a program and one of its functions",))
    fails(program, "a", "b", status=2)
    stripped = folder / "stripped"
    subprocess.run(["strip", "-o", stripped, program], check=True)
    fails(stripped, "blocks_not", says=("is stripped", "do not strip it"))
    for kept in 9000, 100:
        (folder / "cut").write_bytes(program.read_bytes()[:kept])
        fails(folder / "cut", "hello", says=(f"is cut off after {kept} bytes",))
    foreign = bytearray(program.read_bytes())
    foreign[18:20] = (243).to_bytes(2, "little")
    (folder / "foreign").write_bytes(foreign)
    fails(folder / "foreign", "main", says=("it is for RISC-V",))
    with open("/dev/full", "w") as full:
        result = subprocess.run([THRUM, "dis", program, "hello"], stdout=full, stderr=subprocess.PIPE, text=True)
    expect(result.returncode == 1 and "No space left" in result.stderr, "a full disk is told", result.stderr)


def check_source(folder):
    """A file of C is compiled first."""
    source = folder / "source.c"
    source.write_text("#include <thrum.h>\nlong n;\nvoid f(void);\nvoid f(void) { n++; thrum_yield(); }\n"
                      "int main(void) { f(); return 0; }\n")
    listing = run_json(source, "f")
    expect(listing["summary"]["parks"] == 1 and listing["program"] == str(source), "what it is compiled to", str(listing))
    reader, writer = os.pipe()
    os.close(reader)
    temporary = folder / "temporary"
    temporary.mkdir()
    result = subprocess.run([THRUM, "dis", source, "f"], stdout=writer, stderr=subprocess.PIPE, text=True,
                            env={**os.environ, "TMPDIR": str(temporary)})
    os.close(writer)
    left = [path.name for path in temporary.iterdir() if path.name.startswith("thrum")]
    expect(result.returncode == -signal.SIGPIPE and not left, "a closed pipe leaves nothing behind", f"{result} {left}")
    source.write_text("void f(\n")
    fails(source, "f", says=("does not compile",))
    fails(folder / "missing.c", "f", says=("No such file",))


def check_without_lines(folder, program):
    bare = folder / "without-lines"
    subprocess.run(["strip", "--strip-debug", "-o", bare, program], check=True)
    text = thrum(bare, "hello").stdout
    expect("no debug info" in text and "<- may park" in text, "it works without lines, and says so", text)


def check_same_names(folder):
    sources = []
    for name, value in ("one.c", 1), ("two.c", 2):
        sources.append(folder / name)
        sources[-1].write_text(f"static __attribute__((noinline)) int same(int n) {{ return n * {value + 5}; }}\n"
                               f"int {name[:-2]}(int n); int {name[:-2]}(int n) {{ return same(n) + same(n + 1); }}\n")
    sources.append(folder / "main.c")
    sources[-1].write_text("int one(int), two(int); int main(int n, char **v) { (void)v; return one(n) + two(n); }\n")
    program = compile_one(folder, ["gcc"], "same", "-O1", sources=sources)
    result = thrum(program, "same")
    expect(result.returncode == 1 and re.search(r"one\.c:1\n", result.stderr) and re.search(r"two\.c:1\n", result.stderr)
           and "FILE:same" in result.stderr, "both are listed", result.stderr)
    listing = run_json(program, "two.c:same")
    expect(listing["file"].endswith("two.c"), "the one of that file", listing["file"])
    address = re.search(r"(0x[0-9a-f]+) +\S*one\.c", result.stderr).group(1)
    expect(run_json(program, address)["file"].endswith("one.c"), "by its address")
    program = compile_one(folder, ["gcc"], "same-without-lines", "-O1", "-g0", sources=sources)
    expect(run_json(program, "two.c:same")["function"] == "same", "by what the linker noted, without debug info")


# ---- What is known of calls -----------------------------------------------------------------------------------------------

def contracts():
    """What headers say right above functions: True: switches, False: does not."""
    said = {}
    for header in sorted((ROOT / "include").rglob("*.h")):
        for comment, functions in re.findall(r"/\*((?:(?!\*/).)*)\*/\s*((?:THRUM_API[^;]*;[ \t]*(?:/\*[^\n]*\*/)?\n)+)",
                                             header.read_text(), re.S):
            words = " ".join(comment.replace("\n *", " ").split())
            never = re.search(r"[Dd]oes not switch|[Nn]ever switches|[Nn]either switches", words)
            switches = re.search(r"\bSwitches\b|May switch", words)
            for name in re.findall(r"\b(thrum_\w+)\(", functions) if never or switches else ():
                said[name] = not never and "_try_" not in name  # try forms share the comment of those that wait
    return said


def check_table():
    known = {c["name"]: c["kind"] for c in run_json("--list-calls")}
    ours = {name for name in known if name.startswith("thrum")}
    public = (exported() | machinery()) - VARIABLES
    expect(not public - ours, "cli/dis/table.c has every function of the library", "missing: " + " ".join(sorted(public - ours)))
    expect(not ours - public, "it has no others", "too many: " + " ".join(sorted(ours - public)))
    said = contracts()
    expect(len(said) > 60, "headers say what switches", str(len(said)))
    for name, switches in sorted(said.items()):
        expect((known[name] in ("parks", "ends")) == switches, f"the table agrees with the header of {name}: switches: {switches}", known[name])
    names = [c["name"] for c in run_json("--list-calls")]
    expect(len(names) == len(set(names)), "each is there once", " ".join(n for n in names if names.count(n) > 1))


# ---- The guide -------------------------------------------------------------------------------------------------------------

def essence(line):
    """The instruction and its note, without what differs from compiler to compiler: offsets, bytes, labels."""
    line = re.sub(r"^ *(>> L\d+:)? *\+0x[0-9a-f]+  ([0-9a-f]{2} )+", "", line)
    return re.sub(r"\+0x[0-9a-f]+", "+N", " ".join(line.split()))


def check_guide(folder, libraries):
    """What the guide shows with a note, and the counts, are there when its program is compiled as it says."""
    text = (ROOT / "docs" / "guide" / "where-a-switch-falls.md").read_text()
    (folder / "bank.c").write_text(re.search(r"^```c\n(.*?)^```$", text, re.M | re.S)[1])
    program = compile_one(folder, ["gcc"], "bank", "-O2", *libraries, sources=(folder / "bank.c",))
    blocks = re.findall(r"^```console\n\$ thrum dis bank (\w+)\n(.*?)^```$", text, re.M | re.S)
    expect(len(blocks) == 3, "three functions are shown", text)
    for function, shown in blocks:
        real = thrum(program, function).stdout
        there = {essence(line) for line in real.splitlines()}
        told = [essence(line) for line in shown.splitlines()]
        for line in (line for line in told if "<-" in line or re.match(r"\d+ (call|load|read-|atomic)", line)):
            expect(line in there, f"`{line}`, as the guide shows", real)
    plain = compile_one(folder, ["gcc"], "bank-plain", "-O2", "-fno-inline", *libraries, sources=(folder / "bank.c",))
    expect("may block within: log_balance calls fprintf" in thrum(plain, "deposit_safely").stdout, "what own functions lead to")


# ---- Broken files --------------------------------------------------------------------------------------------------------

def check_broken(folder, program, rounds=120):
    """A few of many; the seed is fixed. Any end will do but a crash or none at all."""
    whole = program.read_bytes()
    chance = random.Random(7)
    victim = folder / "broken"
    for n in range(rounds):
        data = bytearray(whole)
        if n % 4 == 0:
            del data[chance.randrange(len(data)):]
        else:
            places = [chance.randrange(64 if n % 4 == 1 else len(data)) for _ in range(1 + n % 9)]
            for place in places:
                data[place] = chance.choice((0, 1, 0x7f, 0x80, 0xff, chance.randrange(256)))
        victim.write_bytes(data)
        result = subprocess.run([THRUM, "dis", victim, "fn"], capture_output=True, timeout=60)
        expect(result.returncode in (0, 1), f"no crash in round {n}", result.stderr.decode(errors="replace"))


def check_wrong_headers(folder, program):
    """What a file says of where its parts lie is compared with its size."""
    whole = program.read_bytes()
    first, size, count = (int.from_bytes(whole[at:at + n], "little") for at, n in ((32, 8), (54, 2), (56, 2)))
    for part in range(count):
        for field in 8, 16, 32:  # p_offset, p_vaddr, p_filesz
            for value in 1 << 20, 1 << 40, (1 << 64) - 8:
                data = bytearray(whole)
                at = first + part * size + field
                data[at:at + 8] = value.to_bytes(8, "little")
                (folder / "broken").write_bytes(data)
                result = subprocess.run([THRUM, "dis", folder / "broken", "fn"], capture_output=True, timeout=60)
                expect(result.returncode in (0, 1), f"no crash with field {field} of part {part} being {value}", str(result))


def small_program(folder):
    source = folder / "small.c"
    source.write_text("extern int puts(const char *); long v;\nvoid fn(void);\nvoid fn(void) { v++; puts(\"x\"); }\n")
    return compile_one(folder, ["gcc"], "small.so", "-O1", "-shared", "-fPIC", "-nostdlib", sources=(source,))


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        check_table()
        check_native(folder)
        check_aarch64(folder)
        program = folder / "dynamicgcc-O2"
        check_text(program)
        check_errors(folder, program)
        check_source(folder)
        check_without_lines(folder, program)
        check_same_names(folder)
        if os.uname().machine == "x86_64":
            check_guide(folder, shared_library())
        small = small_program(folder)
        check_broken(folder, small)
        check_wrong_headers(folder, small)
    return 0


if __name__ == "__main__":
    sys.exit(main())
