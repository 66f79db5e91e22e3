"""Writes trace files, as the recorder does (src/trace/format.h): for tests of those who read them.

    t = Trace(workers=2)
    t.name(1, "MainThread")
    t.run(0, 1, worker=0)
    t.park(100, 1, worker=0, object=0x1000, what="lock")
    Path("x.trace").write_bytes(t.bytes())
"""
import struct

NO_WORKER = 0xFFFF
SPAWN, RUN, YIELD, PARK, UNPARK, PREEMPT, LEASE, REGAIN, STEAL, END = range(1, 11)
ACQUIRE, RELEASE, QUEUE_PUT, QUEUE_GET, TIMER, IO, HANDOFF, RETURN = range(16, 24)
SPAN_BEGIN, SPAN_END, COUNTER, MARK = range(64, 68)
EVENTS, STRING, THREAD, OBJECT, LAST = range(1, 6)


def block(kind, a, b, payload=b""):
    return struct.pack("<IIQQ", kind, len(payload), a, b) + payload + b"\0" * (-len(payload) % 8)


def event(time, kind, thread=0, object=0, worker=NO_WORKER, detail=0):
    return struct.pack("<qQQHHI", time, thread, object & (1 << 64) - 1, kind, worker, detail)


class Trace:
    def __init__(self, began=1000, workers=1, flags=0, version=1, magic=b"THRUMTRC", event_size=32, wall=1_700_000_000_000_000_000):
        self.header = struct.pack("<8sIIqqIII20x", magic, version, event_size, began, wall, 4242, workers, flags)
        self.began = began
        self.blocks = []
        self.strings = {}
        self.rings = {}
        self.written = self.lost = 0

    def string(self, text):
        if not text:
            return 0
        if text not in self.strings:
            self.strings[text] = len(self.strings) + 1
            data = text if isinstance(text, bytes) else text.encode()
            self.blocks.append(block(STRING, self.strings[text], 0, data))
        return self.strings[text]

    def name(self, thread, text):
        self.blocks.append(block(THREAD, thread, self.string(text)))

    def object(self, address, text):
        self.blocks.append(block(OBJECT, address, self.string(text)))

    def event(self, at, kind, thread=0, object=0, worker=NO_WORKER, detail=0, ring=None):
        """`at` counts from the beginning."""
        ring = worker if ring is None else ring
        self.rings.setdefault(ring, []).append(event(self.began + at, kind, thread, object, worker, detail))

    def flush(self, ring, lost=0):
        """What a ring has goes out as a block, before which so many were lost."""
        events = self.rings.pop(ring, [])
        self.blocks.append(block(EVENTS, ring, lost, b"".join(events)))
        self.written += len(events)
        self.lost += lost

    def spawn(self, at, creator, thread, worker):
        self.event(at, SPAWN, creator, thread, worker)

    def run(self, at, thread, worker):
        self.event(at, RUN, thread, 0, worker)

    def park(self, at, thread, worker, object=0, what=None):
        self.event(at, PARK, thread, object, worker, self.string(what))

    def unpark(self, at, thread, by=0, worker=NO_WORKER, timeout=False):
        self.event(at, UNPARK, by, thread, worker, int(timeout))

    def bytes(self, end=True):
        for ring in sorted(self.rings):
            self.flush(ring)
        last = block(LAST, self.written, self.lost) if end else b""
        return self.header + b"".join(self.blocks) + last
