#!/usr/bin/env python3
"""thrum timeline: what it says of traces that are written here, good ones and bad ones.

    views.py THRUM MANY_EVENTS PROTO     THRUM: the command; PROTO: perfetto.proto, or - without that form
"""
import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
from common import *  # noqa: E402,F403

MANY_EVENTS, PROTO = sys.argv[2:4]


class Views(Timeline):
    def test_lanes(self):
        self.assertEqual(self.text(story(), "--width", "80"), """\
  worker 0    |############################.......############################|
  worker 1    |.:#############################################:...............|
  MainThread  |########################.......................################|
  hog         |-:####-:#######################################:               |
  the "user"? | ----:##........-------:####====---############:               |
               0                                                       80.0 ms
               a column is 1.27 ms
  # runs  : runs for less than half of it  - ready  . waiting  = in a call
""")

    def test_stats(self):
        s = self.stats(story())
        main, hog, user = s["threads"]
        self.assertEqual(user["name"], 'the "user"?')
        self.assertEqual(main["ns"], {"run": 50 * MS, "ready": 0, "waiting": 30 * MS, "call": 0})
        self.assertEqual(hog["ns"], {"run": 55 * MS, "ready": 4 * MS, "waiting": 0, "call": 0})
        self.assertEqual(user["ns"], {"run": 23 * MS, "ready": 20 * MS, "waiting": 10 * MS, "call": 5 * MS})
        self.assertEqual(user["runs_ended_by"], {"open": 0, "yield": 0, "preempt": 0, "park": 1, "call": 1, "end": 1})
        self.assertEqual(user["waits"], [{"what": "lock `table`", "count": 1, "ns": 10 * MS}])
        self.assertEqual((main["born"], main["ended"], main["born_before"], main["lives_on"]), (0, 80 * MS, True, False))
        self.assertEqual((hog["born"], hog["ended"], hog["born_before"]), (1 * MS, 60 * MS, False))

    def test_locks(self):
        table = next(o for o in self.stats(story())["objects"] if o.get("name") == "lock `table`")
        self.assertTrue(table["lock"])
        self.assertEqual((table["waits"], table["waited"], table["longest"]), (1, 10 * MS, 10 * MS))
        self.assertEqual((table["acquired"], table["held"], table["longest_held"]), (2, 37 * MS, 20 * MS))
        self.assertEqual(table["most_by"], 'the "user"?')
        self.assertNotIn("holder", table)

    def test_a_lock_held_at_the_end_names_its_holder(self):
        t = Trace()
        t.name(1, "keeper")
        t.run(0, 1, 0)
        t.event(10, ACQUIRE, 1, LOCK, 0)
        t.event(20, MARK, 1, 0, 0, t.string("x"))
        self.assertEqual(self.stats(t)["objects"][0]["holder"], "keeper")

    def test_critical_path(self):
        """main until it wakes the user at 20 ms; that waits for a worker, runs, blocks in a call, waits for a worker, runs, and wakes
        main at 60 ms."""
        c = self.stats(story())["critical_path"]
        self.assertEqual(c["all"], 80 * MS)
        self.assertEqual(c["ns"], {"run": 60 * MS, "ready": 15 * MS, "waiting": 0, "call": 5 * MS})
        self.assertEqual(c["threads"], [{"name": "MainThread", "ns": 40 * MS}, {"name": 'the "user"?', "ns": 40 * MS}])

    def test_table_text(self):
        table = self.text(story(), "--stats")
        self.assertRegex(table, r"(?m)^  hog +55.0 ms +4.00 ms +- +- +2 +0 +0 +1 +0$")
        self.assertRegex(table, r"(?m)^  lock `table` +1 +10.0 ms +10.0 ms +2 +37.0 ms +20.0 ms +the \"user\"\?")
        self.assertIn("critical path: 80.0 ms, 75 % running, 19 % waiting for a worker, 6 % in calls", table)

    def test_no_more_lanes_than_asked_for(self):
        lanes = self.text(story(), "-n", "1")
        self.assertIn("  hog ", lanes)
        self.assertNotIn("  MainThread", lanes)
        self.assertIn("2 more threads", lanes)

    def test_width(self):
        for width in (60, 80, 200):
            lines = self.text(story(), "--width", width).splitlines()
            self.assertTrue(all(len(line) == width - 1 for line in lines[:5]), lines)

    def test_an_empty_trace(self):
        self.assertIn("no thread ran", self.text(Trace()))
        self.assertEqual(self.stats(Trace())["threads"], [])


class Warnings(Timeline):
    def warnings(self, trace):
        return self.stats(trace)["warnings"]

    def hog(self, turns):
        t = Trace()
        t.name(1, "hog")
        t.name(2, "other")
        t.run(0, 1, 0)
        t.spawn(0, 1, 2, 0)
        at = 0
        for i in range(turns):
            at += 50 * MS
            t.event(at, PREEMPT, 1, 0, 0)
            t.run(at, 2, 0)
            at += 1 * MS
            t.event(at, YIELD, 2, 0, 0)
            t.run(at, 1, 0)
        return t, at

    def test_who_never_yields(self):
        t, at = self.hog(5)
        t.event(at + 50 * MS, END, 1, 0, 0)
        self.assertEqual(self.warnings(t), ["`hog` never yielded for 300 ms of running, from 0 ns on (preempted: 5)"])

    def test_who_yields_in_time(self):
        t, at = self.hog(5)
        t.event(at + 49 * MS, END, 1, 0, 0)
        self.assertEqual(self.warnings(t), [])

    def test_time_lost_for_a_lock(self):
        t = Trace(workers=1)
        t.object(LOCK, "lock `table`")
        t.run(0, 1, 0)
        t.spawn(0, 1, 2, 0)
        t.park(10 * MS, 1, 0, LOCK, "lock")
        t.run(10 * MS, 2, 0)
        t.unpark(30 * MS, 1, 2, 0)
        t.event(30 * MS, END, 2, 0, 0)
        t.run(30 * MS, 1, 0)
        t.event(40 * MS, END, 1, 0, 0)
        self.assertEqual(self.warnings(t), ["29 % of the time in which threads wanted to work was lost waiting for lock `table`: "
                                            "1 wait, the longest one 20.0 ms"])

    def test_main_before_its_threads(self):
        t = Trace(workers=2)
        t.name(1, "MainThread")
        t.name(2, "late")
        t.run(0, 1, 0)
        t.spawn(0, 1, 2, 0)
        t.run(0, 2, 1)
        t.event(10 * MS, RETURN, 1, 0, 0)
        t.park(10 * MS, 1, 0, 2, "the end of thread")
        t.event(25 * MS, END, 2, 0, 1)
        self.assertEqual(self.warnings(t), ["main returned at 10.0 ms, before its threads: 1 lived on, `late` for another 15.0 ms"])

    def test_main_behind_its_threads(self):
        t = Trace(workers=2)
        t.run(0, 1, 0)
        t.spawn(0, 1, 2, 0)
        t.run(0, 2, 1)
        t.event(10 * MS, RETURN, 1, 0, 0)
        t.event(10 * MS + 900 * US, END, 2, 0, 1)  # as a pool's does
        self.assertEqual(self.warnings(t), [])

    def test_lost_events(self):
        t = Trace()
        t.run(0, 1, 0)
        t.flush(0)
        t.event(10, YIELD, 1, 0, 0)
        t.flush(0, lost=7)
        self.assertIn("7 events were lost beside 2", self.warnings(t)[0])

    def test_story_has_none(self):
        self.assertEqual(self.warnings(story()), [])


class Chrome(Timeline):
    def rows(self, trace):
        out = self.dir / "a.json"
        self.text(trace, "-o", out)
        return json.loads(out.read_text())["traceEvents"]

    def test_rows(self):
        rows = self.rows(story())
        names = {(r["pid"], r["tid"]): r["args"]["name"] for r in rows if r["name"] == "thread_name"}
        self.assertEqual(names, {(1, 0): "worker 0", (1, 1): "worker 1", (2, 0): "MainThread", (2, 1): "hog",
                                 (2, 2): 'the "user"?', (3, 0): "MainThread"})
        user = [(r["ts"], r["dur"], r["name"]) for r in rows if r["ph"] == "X" and (r["pid"], r["tid"]) == (2, 2)]
        self.assertEqual(user, [(2000, 5000, "ready"), (7000, 3000, "run"), (10000, 10000, "lock `table`"), (20000, 10000, "ready"),
                                (30000, 5000, "run"), (35000, 5000, "in a call"), (40000, 5000, "ready"), (45000, 15000, "run")])
        worker = [(r["ts"], r["dur"], r["name"]) for r in rows if r["ph"] == "X" and (r["pid"], r["tid"]) == (1, 0)]
        self.assertEqual(sorted(worker), [(0, 30000, "MainThread"), (30000, 5000, 'the "user"?'), (45000, 15000, 'the "user"?'),
                                          (60000, 20000, "MainThread")])
        self.assertEqual([(r["tid"], r["ts"], r["id"]) for r in rows if r["ph"] == "s"], [(0, 20000, 1), (2, 60000, 2)])
        self.assertEqual([(r["tid"], r["ts"], r["id"]) for r in rows if r["ph"] == "f"], [(2, 20000, 1), (0, 60000, 2)])
        self.assertEqual([(r["name"], r["ts"], r["args"]["value"]) for r in rows if r["ph"] == "C"], [("items", 13000, -5)])
        self.assertEqual([(r["name"], r["ts"]) for r in rows if r["ph"] == "i"], [("done", 22000)])
        self.assertEqual([(r["name"], r["ts"], r["dur"]) for r in rows if r["ph"] == "X" and r["pid"] == 3], [("phase", 12000, 9000)])

    def test_any_name_is_json(self):
        for name in (b'"', b"\\", b"</script>", b"\x01\x7f\n", b"\xff\xfe", b"\xc3", "\u00e9\u2192\U0001F9F5".encode(), b"\xed\xa0\x80"):
            t = Trace()
            t.blocks.append(block(STRING, 77, 0, name))
            t.blocks.append(block(THREAD, 1, 77))
            t.run(0, 1, 0)
            t.event(5, MARK, 1, 0, 0, 77)
            mark = next(r for r in self.rows(t) if r["ph"] == "i")
            wanted = name.decode(errors="replace").replace("\ufffd", "?")
            self.assertEqual(re.sub(r"[\x00-\x1f\x7f]", "?", wanted), mark["name"])


def parse(text):
    """protoc's text form: a list of (field, value) pairs."""
    stack = [[]]
    for line in text.splitlines():
        line = line.strip()
        if line == "}":
            done = stack.pop()
            stack[-1][-1] = (stack[-1][-1][0], done)
        elif line.endswith("{"):
            stack[-1].append((line[:-2], None))
            stack.append([])
        else:
            key, value = line.split(": ", 1)
            stack[-1].append((key, json.loads(value) if value[0] in '"-0123456789' else value))
    return stack[0]


@unittest.skipIf(PROTO == "-", "built without Perfetto's form")
class Perfetto(Timeline):
    def packets(self, trace):
        out = self.dir / "a.pftrace"
        self.text(trace, "-o", out)
        proto = Path(PROTO)
        decoded = subprocess.run(["protoc", f"--proto_path={proto.parent}", "--decode=pf.Trace", proto.name], check=True,
                                 input=out.read_bytes(), capture_output=True).stdout.decode()
        self.assertNotRegex(decoded, r"(?m)^ *\d+:")  # a field that the .proto does not have
        return [dict(p) for _, p in parse(decoded)]

    def slices(self, packets):
        """(track, from, to, name) of all slices, as Perfetto pairs them: by track, in order of time."""
        tracks, names, events, done = {}, {}, [], []
        for p in packets:
            if "track_descriptor" in p:
                d = dict(p["track_descriptor"])
                self.assertNotIn(d["uuid"], tracks)
                tracks[d["uuid"]] = (tracks[d["parent_uuid"]], d["name"]) if "parent_uuid" in d else d["name"]
            for key, value in p.get("interned_data", []):
                names[(key, dict(value)["iid"])] = dict(value)["name"]
            if "track_event" in p:
                e = dict(p["track_event"])
                self.assertIn(e["track_uuid"], tracks, "a track is told before its events")
                name = names[("event_names", e["name_iid"])] if "name_iid" in e else e.get("name")
                events.append((p["timestamp"], tracks[e["track_uuid"]], e["type"], name))
        open_slices = {}
        for time, track, kind, name in sorted(events, key=lambda e: e[0]):
            if kind == "TYPE_SLICE_BEGIN":
                open_slices.setdefault(track, []).append((time, name))
            elif kind == "TYPE_SLICE_END":
                begun, name = open_slices[track].pop()
                done.append((track, begun, time, name))
        self.assertTrue(all(not s for s in open_slices.values()))
        return sorted(done)

    def test_the_same_slices_as_chrome(self):
        t = story()
        packets = self.packets(t)
        out = self.dir / "a.json"
        self.text(t, "-o", out)
        rows = json.loads(out.read_text())["traceEvents"]
        groups = {r["pid"]: r["args"]["name"] for r in rows if r["name"] == "process_name"}
        lanes = {(r["pid"], r["tid"]): r["args"]["name"] for r in rows if r["name"] == "thread_name"}
        ns = lambda us: round(us * 1000)
        chrome = sorted(((groups[r["pid"]], lanes[r["pid"], r["tid"]]), t.began + ns(r["ts"]), t.began + ns(r["ts"]) + ns(r["dur"]), r["name"])
                        for r in rows if r["ph"] == "X")
        self.assertEqual(self.slices(packets), chrome)
        self.assertEqual(len(chrome), 23)

    def test_flows_counters_marks(self):
        t = story()
        events = [(p["timestamp"] - t.began, dict(p["track_event"])) for p in self.packets(t) if "track_event" in p]
        self.assertEqual([(at, e["flow_ids"]) for at, e in events if "flow_ids" in e], [(20 * MS, 1), (60 * MS, 2)])
        ends = [(at, e["terminating_flow_ids"], e["type"]) for at, e in events if "terminating_flow_ids" in e]
        self.assertEqual(ends, [(20 * MS, 1, "TYPE_SLICE_BEGIN"), (60 * MS, 2, "TYPE_SLICE_BEGIN")])
        self.assertEqual([(at, e["counter_value"]) for at, e in events if e["type"] == "TYPE_COUNTER"], [(13 * MS, -5)])

    def test_sequence(self):
        packets = self.packets(story())
        self.assertEqual({p["trusted_packet_sequence_id"] for p in packets}, {1})
        self.assertEqual([p["sequence_flags"] for p in packets if "interned_data" in p][0], 3)
        self.assertEqual({p["sequence_flags"] for p in packets if "track_event" in p}, {2})


class Streams(Timeline):
    def peak(self, *args):
        pid = os.fork()
        if not pid:
            os.execv(THRUM, [THRUM, "timeline", *map(str, args)])
        _, status, usage = os.wait4(pid, 0)
        self.assertEqual(status, 0)
        return usage.ru_maxrss

    def test_memory_does_not_grow_with_events(self):
        few, many = self.dir / "few", self.dir / "many"
        subprocess.run([MANY_EVENTS, few, "20000", "3", "40"], check=True)
        subprocess.run([MANY_EVENTS, many, "600000", "3", "40"], check=True)
        for suffix in ("json",) if PROTO == "-" else ("json", "pftrace"):
            out = self.dir / ("out." + suffix)
            few_needs = self.peak(few, "-o", out)
            self.assertLess(self.peak(many, "-o", out), few_needs + 4096, suffix)
            self.assertGreater(out.stat().st_size, 10_000_000)

    def test_generated_events_are_consistent(self):
        self.assertEqual(subprocess.run([MANY_EVENTS, self.path, "50000", "4", "7"]).returncode, 0)
        self.assertEqual(thrum(self.path, "--check").returncode, 0)

    def test_rings_are_merged_by_time(self):
        """Events of one ring are far behind those of the other in the file."""
        t = Trace(workers=2)
        t.run(0, 1, 0)
        t.run(0, 2, 1)
        for i in range(1, 6000, 2):
            t.park(i * 100, 1, 0, LOCK, "lock")
            t.unpark(i * 100 + 50, 1, 2, 1)
            t.run(i * 100 + 100, 1, 0)
        s = self.stats(t)
        self.assertEqual(s["threads"][0]["ns"]["waiting"], 3000 * 50)
        self.assertEqual(self.contradictions(t), [])

    def test_a_pipe(self):
        self.put(story())
        done = thrum("/dev/stdin", "--check", input=self.path.read_bytes())
        self.assertEqual((done.returncode, done.stderr), (0, b""))

    def test_a_full_disk_leaves_nothing(self):
        subprocess.run([MANY_EVENTS, self.path, "20000", "1", "4"], check=True)

        def limit():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

        for suffix in ("json",) if PROTO == "-" else ("json", "pftrace"):
            done = thrum(self.path, "-o", self.dir / ("out." + suffix), preexec_fn=limit)
            self.assertEqual(done.returncode, 1)
            self.assertIn("out." + suffix, done.stderr.decode())
            self.assertEqual(os.listdir(self.dir), ["a.trace"])

    def test_a_signal_leaves_nothing(self):
        """It comes while there is half an output: the trace is a pipe, of which nothing is read yet."""
        os.mkfifo(self.path)
        for end in signal.SIGINT, signal.SIGTERM, signal.SIGHUP:
            # Who runs tests in the background ignores some of them, and so would the command.
            writes = subprocess.Popen([THRUM, "timeline", self.path, "-o", self.dir / "out.json"],
                                      preexec_fn=lambda end=end: signal.signal(end, signal.SIG_DFL))
            deadline = time.monotonic() + 60
            while len(os.listdir(self.dir)) == 1 and time.monotonic() < deadline:
                time.sleep(0.01)
            self.assertEqual(len(os.listdir(self.dir)), 2)
            writes.send_signal(end)
            self.assertEqual(writes.wait(60), -end)
            self.assertEqual(os.listdir(self.dir), ["a.trace"])


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=1)
