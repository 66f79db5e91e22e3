#!/usr/bin/env python3
"""probes.py PROGRAM: a tracer attaches to the probes of the runtime; they are those that docs/guide/watching.md lists, and what they say of
the threads of probed.c is true. gdb is the tracer, since it needs no privileges; it reads this file as well."""
import os
import re
import subprocess
import sys
from pathlib import Path

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "guide" / "watching.md"


def inside():
    """In gdb: runs the program to its end, and prints a line for each probe that is there, and for each time that one is met."""
    class Probe(gdb.Breakpoint):
        def stop(self):
            print("met", self.name, *(int(gdb.parse_and_eval(f"(unsigned long)$_probe_arg{i}")) for i in (0, 1)))
            return False

    gdb.execute("break main")
    gdb.execute("run")
    names = {line.split()[2] for line in gdb.execute("info probes stap thrum", to_string=True).splitlines()
             if line.startswith("stap")}
    for name in sorted(names):
        print("probe", name)
        Probe(f"-probe-stap thrum:{name}").name = name
    for variable in "go", "timer":
        print("address", variable, int(gdb.parse_and_eval(f"(unsigned long)&{variable}")))
    gdb.execute("continue")
    print("ended", int(gdb.parse_and_eval("$_exitcode")))


def check(condition, what, said):
    if not condition:
        sys.exit(f"{said}\nprobes: {what}")


def main(program):
    asked = ["gdb", "-q", "-nx", "-batch"]
    try:
        works = subprocess.run([*asked, "-ex", "run", "-ex", "print 6 * 7", "--args", "true"], capture_output=True, text=True).stdout
    except FileNotFoundError:
        works = ""
    if not works.endswith("$1 = 42\n"):
        print("gdb is not there, or cannot run programs here")
        sys.exit(77)

    said = subprocess.run([*asked, "-x", __file__, program], capture_output=True, text=True, 
                          env={**os.environ, "PROBES_IN_GDB": "1", "THRUM_WORKERS": "1"})
    said = said.stdout + said.stderr
    probes = set(re.findall(r"^probe (\w+)$", said, re.M))
    address = {name: int(value) for name, value in re.findall(r"^address (\w+) (\d+)$", said, re.M)}
    met = [(name, int(a), int(b)) for name, a, b in re.findall(r"^met (\w+) (\d+) (\d+)$", said, re.M)]
    steps = lambda thread: [name for name, a, _ in met if a == thread]
    check("\nended 0\n" in said, "the program did not end well", said)

    listed = set(re.findall(r"^\| `(\w+)` \|", GUIDE.read_text(), re.M))
    check(probes == listed, f"the guide lists others: {sorted(probes ^ listed)}", said)

    born = [b for name, _, b in met if name == "spawn"][:3]
    check(len(set(born)) == 3, "three threads are started", said)
    waiter, *turns = born
    check(("park", waiter, address["go"]) in met, "the first waits for the event", said)
    check(any(name == "unpark" and b == waiter for name, _, b in met), "somebody wakes it", said)
    check(all(steps(thread).count("yield") >= 5 for thread in turns), "the others yield to each other, again and again", said)
    for thread in born:
        check(steps(thread)[0] == "run" and steps(thread)[-1] == "end", "a thread's steps begin with a run and close with its end", said)
        check(steps(thread).count("end") == 1, "it ends once", said)
    check([b for name, _, b in met if name == "timer"].count(address["timer"]) == 1, "the timer fires once", said)


if "PROBES_IN_GDB" in os.environ:
    import gdb
    inside()
else:
    main(sys.argv[1])
