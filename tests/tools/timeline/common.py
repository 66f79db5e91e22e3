"""What the tests of thrum timeline have in common. The command's path is their first argument."""
import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
from tracefile import *  # noqa: E402,F403

THRUM = sys.argv[1]
US, MS = 1_000, 1_000_000
LOCK = 0x1000


def thrum(*args, **kw):
    env = dict(os.environ, NO_COLOR="1", COLUMNS="80")
    return subprocess.run([THRUM, "timeline", *map(str, args)], capture_output=True, env=env, **kw)


def story():
    """A hog beside a thread that waits for a lock that main holds, blocks in a call, and is joined."""
    t = Trace(workers=2)
    t.name(1, "MainThread")
    t.name(2, "hog")
    t.name(3, 'the "user"\n')
    t.object(LOCK, "lock `table`")
    t.run(0, 1, 0)
    t.spawn(1 * MS, 1, 2, 0)
    t.run(2 * MS, 2, 1)
    t.spawn(2 * MS, 1, 3, 0)
    t.event(3 * MS, ACQUIRE, 1, LOCK, 0)
    t.event(7 * MS, PREEMPT, 2, 0, 1)
    t.run(7 * MS, 3, 1)
    t.park(10 * MS, 3, 1, LOCK, "lock")
    t.run(10 * MS, 2, 1)
    t.event(12 * MS, SPAN_BEGIN, 1, 0, 0, t.string("phase"))
    t.event(13 * MS, COUNTER, 1, -5, 0, t.string("items"))
    t.event(20 * MS, RELEASE, 1, LOCK, 0)
    t.unpark(20 * MS, 3, 1, 0)
    t.event(21 * MS, SPAN_END, 1, 0, 0)
    t.event(22 * MS, MARK, 1, 0, 0, t.string("done"))
    t.park(30 * MS, 1, 0, 3, "join")
    t.run(30 * MS, 3, 0)
    t.event(30 * MS, ACQUIRE, 3, LOCK, 0, 1)
    t.event(35 * MS, LEASE, 3, 0)
    t.event(40 * MS, REGAIN, 3, 0)
    t.run(45 * MS, 3, 0)
    t.event(50 * MS, RELEASE, 3, LOCK, 0)
    t.event(60 * MS, END, 3, 0, 0)
    t.event(60 * MS, END, 2, 0, 1)
    t.unpark(60 * MS, 1, 3, 0)
    t.run(60 * MS, 1, 0)
    t.event(80 * MS, END, 1, 0, 0)
    return t


class Timeline(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.dir = Path(self.folder.name)
        self.path = self.dir / "a.trace"

    def put(self, trace):
        self.path.write_bytes(trace if isinstance(trace, bytes) else trace.bytes())
        return self.path

    def text(self, trace, *args):
        done = thrum(self.put(trace), *args)
        self.assertEqual((done.returncode, done.stderr), (0, b""), done.stdout)
        return done.stdout.decode()

    def stats(self, trace):
        return json.loads(self.text(trace, "--json"))

    def thread(self, stats, name):
        return next(t for t in stats["threads"] if t["name"] == name)

    def refused(self, trace, *words, args=()):
        done = thrum(self.put(trace), *args)
        self.assertEqual((done.returncode, done.stdout), (1, b""))
        message = done.stderr.decode()
        self.assertEqual(message.count("\n"), 1, message)
        for word in (str(self.path), *words):
            self.assertIn(word, message)

    def contradictions(self, trace):
        done = thrum(self.put(trace), "--check")
        found = done.stdout.decode().splitlines()
        self.assertEqual(done.returncode, 1 if len(found) > 1 else 0, done.stdout)
        self.assertIn("consistent" if len(found) == 1 else "contradictions", found[-1])
        return found[:-1]
