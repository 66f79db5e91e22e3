#!/usr/bin/env python3
"""thrum timeline on what is no good trace: always one message that names the file, or a whole result; never a crash.

    bad.py THRUM
"""
import random
import struct
import sys
import unittest

sys.dont_write_bytecode = True
from common import *  # noqa: E402,F403


def small():
    t = Trace(workers=2)
    t.name(1, "a")
    t.object(LOCK, "lock `l`")
    t.run(0, 1, 0)
    t.spawn(10, 1, 2, 0)
    t.run(20, 2, 1)
    t.park(30, 1, 0, LOCK, "lock")
    t.unpark(40, 1, 2, 1)
    t.run(50, 1, 0)
    t.event(70, END, 2, 0, 1)
    return t


def tiny():
    t = Trace()
    t.name(1, "a")
    t.run(0, 1, 0)
    t.event(10, END, 1, 0, 0)
    return t


def blocks(data):
    """Where each block begins."""
    at, found = 64, []
    while at < len(data):
        found.append(at)
        at += 24 + (struct.unpack_from("<I", data, at + 4)[0] + 7) // 8 * 8
    return found


class Bad(Timeline):
    def whole_or_message(self, data, *args):
        """Status 0 and a result, or status 1, one line, and nothing else. Returns the status and the message."""
        done = thrum(self.put(data), "--json", *args)
        message = done.stderr.decode()
        self.assertIn(done.returncode, (0, 1), message)
        self.assertTrue(all(str(self.path) in line for line in message.splitlines()), message)
        if done.returncode:
            self.assertEqual((done.stdout, message.count("\n")), (b"", 1), message)
        else:
            json.loads(done.stdout)
        return done.returncode, message

    def test_cut_at_every_byte(self):
        data = tiny().bytes()
        ends = set(blocks(data)) | {len(data)}
        for n in range(len(data) + 1):
            status, message = self.whole_or_message(data[:n])
            self.assertEqual(status, 0 if n in ends else 1, f"{n}: {message}")
            if n == 0:
                self.assertIn("is empty", message)
            elif n in ends:
                self.assertEqual("no end" in message, n < len(data), message)
            else:
                self.assertIn(f"cut off at offset {n}", message)

    def test_cut_and_partial(self):
        data = small().bytes()
        ends = blocks(data)
        for n in range(64, len(data), 29):
            status, message = self.whole_or_message(data[:n], "--partial")
            self.assertEqual(status, 0, message)

    def test_every_byte_wrong(self):
        data = small().bytes()
        for n in range(0, len(data), 5):
            wrong = bytearray(data)
            wrong[n] ^= 0xFF
            self.whole_or_message(bytes(wrong))

    def test_by_chance(self):
        chance = random.Random(1)
        data = small().bytes()
        for _ in range(60):
            wrong = bytearray(data)
            for _ in range(chance.randrange(1, 6)):
                wrong[chance.randrange(64, len(wrong))] = chance.choice((0, 1, 2, 3, 5, 0x7F, 0x80, 0xFF))
            self.whole_or_message(bytes(wrong), *chance.choice(((), ("--partial",))))

    def test_no_trace(self):
        self.refused(b"\x7fELF" + bytes(100), "is no trace of thrum's", "offset 0", "THRUM_TRACE=")
        self.refused(b"", "is empty", "THRUM_TRACE=")
        self.refused(b"THRUM", "cut off at offset 5", "its header")
        self.refused(Trace(version=7), "offset 8", "version 7", "version 1")
        self.refused(Trace(event_size=48), "offset 12", "48 bytes")
        self.refused(Trace(began=-5), "offset 16")

    def test_no_file(self):
        done = thrum(self.dir / "none")
        self.assertEqual((done.returncode, done.stdout), (1, b""))
        self.assertIn("none: cannot be read: No such file", done.stderr.decode())
        done = thrum(self.dir)
        self.assertEqual(done.returncode, 1)
        self.assertIn("is a directory", done.stderr.decode())

    def test_damages(self):
        def damaged(extra, *words, end=False):
            data = small().bytes(end=end) + extra
            self.refused(data, "damaged at offset", "--partial", *words)

        damaged(block(99, 0, 0), "an unknown kind, 99")
        damaged(block(EVENTS, 70000, 0), "a ring 70000")
        damaged(block(EVENTS, 0, 0, b"x" * 31), "31 bytes are no number of events")
        damaged(block(STRING, 0, 0, b"x"), "a string of number 0")
        damaged(block(STRING, 1 << 30, 0, b"x"), "a string of number")
        damaged(block(THREAD, 1, 999), "a name of number 999")
        damaged(block(LAST, 3, 0), "3 events were written, and 7 are there")
        damaged(b"\0" * 8, "8 bytes follow its end", end=True)

    def test_events_that_go_back(self):
        t = small()
        t.event(2_000_000_000, MARK, 1, 0, 0)
        t.event(1_000_000_000, MARK, 1, 0, 0)
        data = t.bytes()
        last = data.index(event(t.began + 1_000_000_000, MARK, 1, 0, 0))
        self.refused(data, f"damaged at offset {last}", "ring 0")
        done = thrum(self.path, "--partial", "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("the events of ring 0 end there", done.stderr.decode())

    def test_a_small_step_back_is_none(self):
        t = Trace()
        t.run(2 * US, 1, 0)
        t.event(1 * US, YIELD, 1, 0, 0)
        t.run(3 * US, 1, 0)
        self.assertEqual(self.contradictions(t), [])

    def test_nothing_is_left_behind(self):
        self.path.write_bytes(small().bytes()[:-30])
        before = os.listdir(self.dir)
        done = thrum(self.path, "-o", self.dir / "out.json")
        self.assertEqual(done.returncode, 1)
        self.assertEqual(os.listdir(self.dir), before)

    def test_an_old_output_stays(self):
        out = self.dir / "out.json"
        out.write_text("old")
        self.assertEqual(thrum(self.put(b"no trace"), "-o", out).returncode, 1)
        self.assertEqual(out.read_text(), "old")

    def test_outputs_of_no_form(self):
        done = thrum(self.put(small()), "-o", "x.txt")
        self.assertEqual((done.returncode, done.stdout), (2, b""))
        self.assertIn("x.txt: no form has that suffix; there are", done.stderr.decode())

    def test_an_output_that_cannot_be(self):
        done = thrum(self.put(small()), "-o", self.dir / "no" / "x.json")
        self.assertEqual(done.returncode, 1)
        self.assertIn("x.json: cannot be written", done.stderr.decode())

    def test_usage(self):
        for args in ((), ("a", "b"), ("a", "--width", "0"), ("a", "-n", "x"), ("a", "--what")):
            done = thrum(*args)
            self.assertEqual((done.returncode, done.stdout), (2, b""), args)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
