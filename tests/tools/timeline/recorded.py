#!/usr/bin/env python3
"""thrum timeline on what a program really recorded: it is consistent, and says what the program did.

    recorded.py THRUM PROGRAM
"""
import sys
import unittest

sys.dont_write_bytecode = True
from common import *  # noqa: E402,F403

PROGRAM = sys.argv[2]


class Recorded(Timeline):
    def record(self, workers, how=""):
        env = dict(os.environ, THRUM_WORKERS=str(workers), THRUM_TRACE=f"{how}{self.path}")
        subprocess.run([PROGRAM], check=True, env=env, timeout=60)

    def ask(self, *args):
        done = thrum(self.path, *args)
        self.assertEqual((done.returncode, done.stderr), (0, b""), done.stdout)
        return done.stdout.decode()

    def check(self, workers):
        self.record(workers, "locks:")
        self.assertIn("consistent", self.ask("--check"))
        s = json.loads(self.ask("--json"))
        self.assertEqual((s["lost"], s["cut"]), (0, False))
        for i in range(2):
            self.assertGreater(self.thread(s, f"hog-{i}")["ns"]["run"], 10 * MS)
        reader = self.thread(s, "reader")
        self.assertGreater(reader["ns"]["call"], 10 * MS)
        self.assertGreaterEqual(reader["runs_ended_by"]["call"], 1)
        writer = self.thread(s, "writer")
        self.assertGreaterEqual(writer["ns"]["waiting"] + writer["ns"]["ready"], 100 * MS)
        for i in range(3):
            self.assertEqual(self.thread(s, f"user-{i}")["runs_ended_by"]["open"], 0)
        table = next(o for o in s["objects"] if o.get("name", "").endswith("`table`"))
        self.assertEqual(table["acquired"], 16)
        self.assertGreater(table["waits"], 0)
        self.assertGreaterEqual(table["held"], 15 * MS)
        self.assertTrue(any(t["outside"] for t in s["threads"]))
        self.assertTrue(any("main returned" in w and "`late`" in w for w in s["warnings"]), s["warnings"])
        return s

    def test_one_worker(self):
        s = self.check(1)
        self.assertEqual(s["workers"], 1)

    def test_two_workers(self):
        self.assertEqual(self.check(2)["workers"], 2)

    def test_the_programs_own(self):
        self.record(2)
        out = self.dir / "a.json"
        self.ask("-o", out)
        rows = json.loads(out.read_text())["traceEvents"]
        span = next(r for r in rows if r["name"] == "waiting for a byte")
        self.assertGreater(span["dur"], 10_000)
        self.assertEqual([r["args"]["value"] for r in rows if r["ph"] == "C" and r["name"] == "joined"], list(range(1, 8)))

    def test_a_page(self):
        self.record(2)
        out = self.dir / "a.html"
        self.ask("-o", out)
        self.assertIn("hog-0", out.read_text())


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
