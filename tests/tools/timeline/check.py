#!/usr/bin/env python3
"""thrum timeline --check: what contradicts itself is found, what only looks so is not. And what becomes of the latter's states.

    check.py THRUM
"""
import sys
import unittest

sys.dont_write_bytecode = True
from common import *  # noqa: E402,F403


def begun(workers=2, **options):
    """main on worker 0, and a thread 2 that it spawned."""
    t = Trace(workers=workers, **options)
    t.name(1, "main")
    t.name(2, "two")
    t.run(0, 1, 0)
    t.spawn(10, 1, 2, 0)
    return t


class Consistent(Timeline):
    def good(self, trace):
        self.assertEqual(self.contradictions(trace), [])
        return self.stats(trace)

    def ns(self, stats, name):
        return self.thread(stats, name)["ns"]

    def test_story(self):
        self.good(story())

    def test_woken_before_it_parks(self):
        t = begun()
        t.run(20, 2, 1)
        t.unpark(100, 1, 2, 1)
        t.park(110, 1, 0, LOCK, "lock")
        t.run(120, 1, 0)
        t.event(200, END, 1, 0, 0)
        main = self.thread(self.good(t), "main")
        self.assertEqual(main["ns"], {"run": 200, "ready": 0, "waiting": 0, "call": 0})
        self.assertEqual(main["runs"], 1)

    def test_woken_before_it_sleeps(self):
        t = begun()
        t.run(20, 2, 1)
        t.park(110, 1, 0, LOCK, "lock")
        t.unpark(112, 1, 2, 1)
        t.run(120, 1, 0)
        t.event(200, END, 1, 0, 0)
        self.assertEqual(self.ns(self.good(t), "main"), {"run": 190, "ready": 8, "waiting": 2, "call": 0})

    def test_a_waker_that_is_slow_to_say_so(self):
        t = begun()
        t.run(20, 2, 1)
        t.park(100, 1, 0, LOCK, "lock")
        t.run(110, 1, 0)
        t.park(200, 1, 0, LOCK, "lock")
        t.unpark(250, 1, 2, 1)  # of the first park
        t.unpark(300, 1, 2, 1)
        t.run(310, 1, 0)
        t.event(400, END, 1, 0, 0)
        self.assertEqual(self.ns(self.good(t), "main"), {"run": 290, "ready": 10, "waiting": 100, "call": 0})

    def test_a_park_that_was_none_and_no_run(self):
        t = begun()
        t.unpark(90, 1)
        t.park(100, 1, 0, LOCK, "lock")
        t.event(150, ACQUIRE, 1, LOCK, 0)
        t.event(200, END, 1, 0, 0)
        self.assertEqual(self.ns(self.good(t), "main")["run"], 200)

    def test_a_guest_on_its_joiners_stack(self):
        t = begun()
        t.run(100, 2, 0)
        t.park(150, 2, 0, LOCK, "lock")
        t.unpark(200, 2)
        t.run(210, 2, 1)
        t.event(300, END, 2, 0, 1)
        t.run(300, 1, 1)
        t.event(350, END, 1, 0, 1)
        s = self.good(t)
        self.assertEqual(self.ns(s, "main"), {"run": 150, "ready": 0, "waiting": 200, "call": 0})
        self.assertEqual(s["critical_path"]["ns"]["run"], 200)

    def test_a_host_that_says_that_it_parks(self):
        t = begun()
        t.park(100, 1, 0, 2, "join")
        t.run(100, 2, 0)
        t.event(300, END, 2, 0, 0)
        t.run(300, 1, 0)
        t.event(350, END, 1, 0, 0)
        self.assertEqual(self.ns(self.good(t), "main"), {"run": 150, "ready": 0, "waiting": 200, "call": 0})

    def test_back_from_a_call_before_the_monitor_says_so(self):
        t = begun()
        t.event(100, REGAIN, 1)
        t.event(110, LEASE, 1)
        t.run(120, 1, 0)
        t.event(200, END, 1, 0, 0)
        self.assertEqual(self.ns(self.good(t), "main"), {"run": 180, "ready": 20, "waiting": 0, "call": 0})

    def test_a_foreign_thread(self):
        t = begun()
        t.name(9, "foreign")
        t.event(50, ACQUIRE, 9, LOCK)
        t.park(100, 9, NO_WORKER, LOCK, "lock")
        t.unpark(150, 9, 1, 0)
        t.event(200, RELEASE, 9, LOCK)
        t.event(200, END, 1, 0, 0)
        foreign = self.thread(self.good(t), "foreign")
        self.assertTrue(foreign["outside"])
        self.assertEqual(foreign["ns"], {"run": 100, "ready": 0, "waiting": 50, "call": 0})

    def test_in_the_midst_of_lives(self):
        t = Trace(workers=2)
        t.name(1, "runs")
        t.name(2, "parked")
        t.name(3, "in a call")
        t.event(100, YIELD, 1, 0, 0)
        t.unpark(150, 2, 1, 0)
        t.event(200, REGAIN, 3)
        t.run(250, 2, 1)
        t.run(260, 3, 0)
        t.event(300, YIELD, 2, 0, 1)
        s = self.good(t)
        self.assertEqual(self.ns(s, "runs"), {"run": 100, "ready": 200, "waiting": 0, "call": 0})
        self.assertEqual(self.ns(s, "parked"), {"run": 50, "ready": 100, "waiting": 0, "call": 0})
        self.assertEqual(self.ns(s, "in a call"), {"run": 40, "ready": 60, "waiting": 0, "call": 0})
        self.assertTrue(all(thread["born_before"] for thread in s["threads"]))

    def test_an_offer_that_was_taken_back(self):
        t = begun()
        t.event(50, END, 2, 0, 0)
        t.event(60, END, 1, 0, 0)
        self.assertEqual(self.ns(self.good(t), "two"), {"run": 0, "ready": 40, "waiting": 0, "call": 0})

    def test_last_rites(self):
        t = begun()
        t.event(50, END, 1, 0, 0)
        t.event(60, RELEASE, 1, LOCK, 0)
        self.assertEqual(self.ns(self.good(t), "main")["run"], 50)

    def test_a_park_that_nothing_ends(self):
        t = begun()
        t.run(20, 2, 1)
        t.park(50, 1, 0, LOCK, "lock")
        t.event(100, END, 2, 0, 1)
        self.assertEqual(self.ns(self.good(t), "main"), {"run": 50, "ready": 0, "waiting": 50, "call": 0})

    def test_what_was_lost_explains_it(self):
        t = begun()
        t.park(50, 1, 0, LOCK, "lock")
        t.flush(0)
        t.run(100, 1, 0)
        t.flush(0, lost=3)
        t.event(200, END, 1, 0, 0)
        self.good(t)

    def lost_behind(self, *blocks):
        """Events are lost with the first of these blocks of worker 0; then main is run on worker 1."""
        t = begun()
        t.flush(0)
        at = 100
        for events in blocks:
            for kind in events:
                t.event(at, kind, 1, 0, 0)
                at += 10
            t.flush(0, lost=5 if events is blocks[0] else 0)
        t.run(at, 1, 1)
        t.event(at + 10, YIELD, 2, 0, 0)
        return self.contradictions(t)

    def test_a_full_ring_loses_what_comes_behind(self):
        self.assertEqual(self.lost_behind([YIELD, RUN]), [])

    def test_what_is_taken_at_once_may_be_several_blocks(self):
        self.assertEqual(self.lost_behind([YIELD, RUN, YIELD, RUN], [YIELD, RUN]), [])

    def test_what_comes_later_is_sure(self):
        self.assertEqual(len(self.lost_behind([YIELD, RUN], [YIELD], [RUN, YIELD, RUN])), 1)

    def test_a_flight_recorders_rings_begin_when_they_like(self):
        t = Trace(workers=2, flags=1)
        t.name(1, "main")
        t.run(0, 1, 0)
        t.run(100, 2, 0)  # main's park was overwritten
        t.run(200, 1, 1)
        t.park(300, 1, 1, LOCK, "lock")
        t.event(310, END, 2, 0, 0)
        self.good(t)


class Contradictory(Timeline):
    def one(self, trace, words, at):
        found = self.contradictions(trace)
        self.assertEqual(len(found), 1, found)
        self.assertIn(words, found[0])
        self.assertIn(f"({trace.began + at} ns)", found[0])

    def test_two_places(self):
        t = begun()
        t.run(100, 1, 1)
        self.one(t, "`main` is run on worker 1 while it runs on worker 0", 100)

    def test_acts_elsewhere(self):
        t = begun()
        t.event(100, ACQUIRE, 1, LOCK, 1)
        self.one(t, "`main` does something on worker 1 while it runs on worker 0", 100)

    def test_two_on_one_worker(self):
        t = begun()
        t.run(100, 2, 0)
        t.event(200, ACQUIRE, 1, LOCK, 0)
        self.one(t, "`main` does something while it is parked", 200)

    def test_the_host_goes_on_too_early(self):
        t = begun()
        t.run(100, 2, 0)
        t.run(200, 1, 0)
        self.one(t, "the thread that took its worker has not ended", 200)

    def test_woken_twice(self):
        t = begun()
        t.park(100, 1, 0, LOCK, "lock")
        t.unpark(110, 1)
        t.unpark(120, 1)
        t.run(130, 1, 0)
        self.one(t, "`main` is woken twice", 120)

    def test_never_woken(self):
        t = begun()
        t.park(100, 1, 0, LOCK, "lock")
        t.run(110, 2, 0)
        t.park(120, 2, 0, LOCK, "lock")
        t.run(130, 1, 0)
        t.event(140, END, 1, 0, 0)
        self.one(t, "`main` went on after a wait that nobody had ended", 130)

    def test_runs_after_its_end(self):
        t = begun()
        t.event(100, END, 1, 0, 0)
        t.run(110, 1, 0)
        self.one(t, "`main` is run after its end", 110)

    def test_ends_twice(self):
        t = begun()
        t.event(100, END, 1, 0, 0)
        t.event(110, END, 1, 0, 0)
        self.one(t, "`main` ends twice", 110)

    def test_acts_while_ready(self):
        t = begun()
        t.event(100, PREEMPT, 1, 0, 0)
        t.run(100, 2, 0)
        t.event(150, ACQUIRE, 1, LOCK, 1)
        self.one(t, "`main` does something while it waits for a worker", 150)

    def test_run_in_a_call(self):
        t = begun()
        t.event(100, LEASE, 1)
        t.run(150, 1, 0)
        self.one(t, "`main` is run without having asked for a worker", 150)

    def test_born_twice(self):
        t = begun()
        t.spawn(20, 1, 2, 0)
        self.one(t, "`two` is born, and was there already", 20)

    def test_many_are_counted(self):
        t = begun()
        for i in range(100):
            t.run(100 + i, 1, i % 2)
        found = self.contradictions(t)
        self.assertEqual(len(found), 51)
        self.assertIn("49 more", found[-1])


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
