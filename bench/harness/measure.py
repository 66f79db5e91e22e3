"""Running the programs in turn and collecting what they print."""

import os
import signal
import statistics
import subprocess
import sys
from dataclasses import dataclass, field

EXIT_LATE_START = 3  # sleepers: not everybody was asleep at the common start
LONGEST_LEAD_MS = 40_000


class Failed(Exception):
    """A run that gave no value."""


@dataclass
class Row:
    """What one subject gave for one metric."""

    workload: str
    subject: str
    kind: str
    workers: int
    asked: int  # the number of workers of the group that the row is shown in
    unit: str = ""
    values: list = field(default_factory=list)
    failure: str = ""

    @property
    def median(self):
        return statistics.median(self.values)

    def record(self):
        return {
            "workload": self.workload,
            "subject": self.subject,
            "workers": self.workers,
            "unit": self.unit,
            "median": self.median,
            "min": min(self.values),
            "max": max(self.values),
            "runs": len(self.values),
        }


def run_program(command, timeout, environment):
    """The output of a program, which is ended with its whole process group when its time is up."""
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,
    ) as process:
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            raise Failed(f"no end within {timeout} s") from None
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    return process.returncode, out, err


def failure_of(status, err):
    lines = [line for line in err.strip().splitlines() if line.strip()]
    reason = lines[-1].strip()[:100] if lines else ""
    how = f"signal {signal.Signals(-status).name}" if status < 0 else f"status {status}"
    return f"{how}: {reason}" if reason else how


def values_of(out, names):
    """{name: (value, unit)} from `metric value unit` lines; every name must be there."""
    found = {}
    for line in out.splitlines():
        parts = line.split()
        if len(parts) == 3 and parts[0] in names:
            found[names[parts[0]]] = (float(parts[1]), parts[2])
    if set(found) != set(names.values()):
        raise Failed(f"printed no {', '.join(sorted(set(names.values()) - set(found)))}")
    return found


class Measurement:
    """Runs the subjects of a cell in turn, round after round."""

    def __init__(self, programs, runs, budget_ms):
        self.programs = programs  # {subject: beginning of its command}
        self.runs = runs
        self.environment = dict(os.environ, BENCH_MS=str(budget_ms))
        self.leads = {}  # (subject, workload) -> the lead that was long enough

    def once(self, subject, workload, workers):
        command = subject.command(self.programs[subject.name], workload, workers)
        lead = self.leads.get((subject.name, workload.name), workload.lead_ms)
        while lead <= LONGEST_LEAD_MS:
            own = {**workload.environment, **subject.environment}
            environment = dict(self.environment, BENCH_LEAD_MS=str(lead), **own)
            status, out, err = run_program(command, workload.timeout, environment)
            if status == 0:
                self.leads[subject.name, workload.name] = lead
                return values_of(out, workload.names())
            if status != EXIT_LATE_START:
                raise Failed(failure_of(status, err))
            lead *= 2
        raise Failed(f"not all asleep within {LONGEST_LEAD_MS // 1000} s")

    def cell(self, subjects, workload, workers):
        """The rows of one workload with so many workers."""
        rows = {
            (s.name, name): Row(name, s.name, s.kind, s.workers(workers), workers)
            for s in subjects
            for name in workload.names().values()
        }
        failed = set()
        for turn in range(self.runs):
            shift = turn % len(subjects)
            for subject in subjects[shift:] + subjects[:shift]:
                if subject.name not in failed:
                    progress(f"{workload.name} {workers}w, round {turn + 1} of {self.runs}: {subject.name}")
                    self.step(subject, workload, workers, rows, failed)
        progress("")
        return list(rows.values())

    def step(self, subject, workload, workers, rows, failed):
        try:
            for name, (value, unit) in self.once(subject, workload, workers).items():
                row = rows[subject.name, name]
                row.values.append(value)
                row.unit = unit
        except Failed as failure:
            failed.add(subject.name)  # it is not tried again: a hang would cost its timeout each round
            for name in workload.names().values():
                rows[subject.name, name].failure = str(failure)


def progress(text):
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\033[K{text}")
        sys.stderr.flush()
