"""The tables and bench.json."""

import json

from .workloads import GROWTH

OWN = ("thrum", "thrum-256k")
HEADER = ("workload", "workers", "subject", "kind", "median", "min", "max", "unit", "ratio", "light", "runs")


def is_rate(row):
    """So much a second: more is better."""
    return row.unit == "/s"


def best_peers(rows):
    """The best median of all peers, and of those with light threads as thrum has them."""
    peers = [row for row in rows if row.values and row.subject not in OWN]
    light = [row for row in peers if row.kind == "light"]
    return tuple(min(group, key=order).median if group else None for group in (peers, light))


def number(value):
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def ratio_of(row, best):
    """A cost in percent has no ratio."""
    if best is None or row.unit == "%" or best <= 0:
        return "-"
    return f"{row.median / best:.2f}"


def line_of(row, best, best_light):
    if not row.values:
        return (row.workload, row.workers, row.subject, row.kind, "failed", row.failure)
    shown = [number(v) for v in (row.median, min(row.values), max(row.values))]
    ratios = [ratio_of(row, best), ratio_of(row, best_light)]
    runs = f"{len(row.values)}" + (f", then {row.failure}" if row.failure else "")
    return (row.workload, row.workers, row.subject, row.kind, *shown, row.unit, *ratios, runs)


def groups_of(rows):
    groups = {}
    for row in rows:
        groups.setdefault((row.workload, row.asked), []).append(row)
    return groups


def order(row):
    """The best first, failures last."""
    if not row.values:
        return (True, 0)
    return (False, -row.median if is_rate(row) else row.median)


FORMAT = "{:<23} {:>7} {:<16} {:<9} {:>9} {:>9} {:>9} {:<5} {:>8} {:>8}  {}"
FAILED = "{:<23} {:>7} {:<16} {:<9} {:>9} {}"


def print_header():
    print("ratio: to the best peer, below 1 is better than that, above 1 where the unit is /s; light: to the best peer of that kind\n")
    print(FORMAT.format(*HEADER), flush=True)


def print_rows(rows):
    """One block a workload and number of workers, the fastest first."""
    for group in groups_of(rows).values():
        best = best_peers(group)
        print("-" * 117)
        for row in sorted(group, key=order):
            print((FORMAT if row.values else FAILED).format(*line_of(row, *best)), flush=True)


def print_growth(rows):
    """What one thread, timer or item costs among 10, among 1,000 and among a million."""
    medians = {(r.workload, r.asked, r.subject): (r.median, r.unit) for r in rows if r.values}
    subjects = list(dict.fromkeys(row.subject for row in rows))
    form = "{:<16} {:<14} {:>10} {:>10} {:>10} {:<5} {:>12}"
    lines = []
    for metric, workers, names in GROWTH:
        for subject in subjects:
            found = [medians.get((name, workers, subject)) for name in names]
            if sum(f is not None for f in found) < 2:
                continue
            shown = [number(f[0]) if f else "-" for f in found]
            factor = f"{found[2][0] / found[0][0]:.2f}" if found[0] and found[2] and found[0][0] > 0 else "-"
            lines.append(form.format(metric, subject, *shown, next(f for f in found if f)[1], factor))
    if lines:
        print("\nGrowth: the cost of each among 10, 1,000 and 1,000,000")
        print(form.format("workload", "subject", "10", "10^3", "10^6", "unit", "10^6 / 10"))
        print("\n".join(lines))


def print_absent(missing, absent):
    """Peers that the machine lacks, and workloads that a subject has no way to do."""
    if missing or absent:
        print("\nWithout a row:")
    for name, reason in missing.items():
        print(f"  {name}: {reason}")
    for (name, reason), workloads in absent.items():
        print(f"  {name}: {', '.join(workloads)}: {reason}")


def write_json(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    records = [row.record() for row in rows if row.values]
    path.write_text("[\n" + ",\n".join(json.dumps(record) for record in records) + "\n]\n")
