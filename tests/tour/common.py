"""What the checks of all chapters use."""
import subprocess
import sys
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TOUR = ROOT / "tour"


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


def in_one_of(runs, holds, what):
    """For what a machine that stands still for a while spoils: it holds in one of so many runs at least."""
    outputs = []
    for _ in range(runs):
        good, output = holds()
        if good:
            return
        outputs.append(output)
    expect(False, f"{what}, in one of {runs} runs at least", "\n".join(outputs))
