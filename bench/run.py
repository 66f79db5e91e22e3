#!/usr/bin/env python3
"""Runs each workload for thrum and for every peer that the machine has, in turn, several times; prints a
table with the ratio to the best peer and writes build/bench.json.

    bench/run.py                     all workloads
    bench/run.py spawn 'convoy-*'    some (a name, a family, `growth`, or a pattern)
    bench/run.py --quick spawn       two short runs of each
    bench/run.py --only thrum,go     some subjects"""

import argparse
import shutil
import sys

from harness import report
from harness.measure import Measurement, progress
from harness.subjects import BENCH, ROOT, SUBJECTS, Missing
from harness.workloads import WORKLOADS, matching


def arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("workload", nargs="*", help="all unless named; see --list")
    parser.add_argument("--runs", type=int, default=5, metavar="N", help="rounds (5)")
    parser.add_argument("--quick", action="store_true", help="two short rounds: for a look, not for figures")
    parser.add_argument("--only", metavar="SUBJECT,...", help="these subjects alone")
    parser.add_argument("--list", action="store_true", help="list the workloads")
    parser.add_argument("--peers", action="store_true", help="build the peers and list them")
    parser.add_argument("--packages", action="store_true", help="list the Debian packages to install")
    options = parser.parse_args()
    if options.runs < 1:
        parser.error("--runs must be at least 1")
    return parser, options


def chosen_workloads(parser, words):
    if not words:
        return WORKLOADS
    chosen = []
    for word in words:
        found = matching(word)
        if not found:
            parser.error(f"no workload {word}; see --list")
        chosen += found
    return [w for w in WORKLOADS if w in chosen]


def chosen_subjects(parser, only):
    names = only.split(",") if only else [s.name for s in SUBJECTS]
    unknown = set(names) - {s.name for s in SUBJECTS}
    if unknown:
        parser.error(f"no subject {', '.join(sorted(unknown))}; see --peers")
    return [s for s in SUBJECTS if s.name in names]


def build(subjects):
    """{name: beginning of the command} of those that can be built, {name: reason} of the others."""
    programs, missing = {}, {}
    for subject in subjects:
        progress(f"building {subject.name}")
        try:
            programs[subject.name] = subject.build()
        except Missing as reason:
            missing[subject.name] = str(reason)
    progress("")
    return programs, missing


def cells(workloads, subjects, absent):
    """(workload, workers, the subjects that can do it); fills absent, {(subject, reason): names}."""
    for workload in workloads:
        for workers in workload.workers:
            able = []
            for subject in subjects:
                reason = subject.why_not(workload, workers)
                if reason is None:
                    able.append(subject)
                elif reason and workload.name not in absent.setdefault((subject.name, reason), []):
                    absent[subject.name, reason].append(workload.name)
            if able:
                yield workload, workers, able


def measure(options, workloads, subjects, programs, missing):
    """Measures and prints cell by cell; an interrupt ends it with what there is."""
    measurement = Measurement(programs, 2 if options.quick else options.runs, 100 if options.quick else 300)
    rows, absent = [], {}
    report.print_header()
    try:
        for workload, workers, able in cells(workloads, subjects, absent):
            cell = measurement.cell(able, workload, workers)
            report.print_rows(cell)
            rows += cell
    except KeyboardInterrupt:
        print("\ninterrupted")
    report.print_growth(rows)
    report.print_absent(missing, absent)
    report.write_json(ROOT / "build" / "bench.json", rows)


def print_workloads():
    for w in WORKLOADS:
        names = ", ".join(sorted(w.names().values()))
        workers = " and ".join(f"{n}w" for n in w.workers)
        print(f"{w.name:<23} {workers:<10} {w.what}" + (f" ({names})" if names != w.name else ""))


def print_peers(programs, missing):
    for subject in SUBJECTS:
        if subject.name in programs or subject.name in missing:
            state = f"not here: {missing[subject.name]}" if subject.name in missing else "here"
            print(f"{subject.name:<14} {subject.kind:<10} {subject.what:<52} {state}")


def print_packages():
    for line in (BENCH / "packages.txt").read_text().splitlines():
        package, *command = line.split("#")[0].split() or [""]
        if package and not (command and shutil.which(command[0])):
            print(package)


def main():
    parser, options = arguments()
    if options.packages:
        return print_packages()
    if options.list:
        return print_workloads()
    workloads = chosen_workloads(parser, options.workload)
    programs, missing = build(chosen_subjects(parser, options.only))
    if options.peers:
        return print_peers(programs, missing)
    if not programs:
        return "nothing could be built:\n" + "\n".join(f"  {k}: {v}" for k, v in missing.items())
    subjects = [s for s in SUBJECTS if s.name in programs]
    measure(options, workloads, subjects, programs, missing)
    return "thrum itself was not measured" if "thrum" in missing else 0


if __name__ == "__main__":
    sys.exit(main())
