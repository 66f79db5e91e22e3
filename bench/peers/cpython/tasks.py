"""The workloads with asyncio's tasks, on one event loop."""

import asyncio
import os
import random
import sys
import time

import measure

# ---- spawn, yield


async def nothing():
    pass


async def spawn(n):
    begun, batches = time.monotonic(), 0
    while time.monotonic() - begun < measure.budget():
        await asyncio.gather(*[nothing() for _ in range(n)])
        batches += 1
    measure.report("spawn", (time.monotonic() - begun) * 1e9 / (batches * n), "ns")


async def yielding(n):
    each = max(200_000 // n, 2)

    async def yielder():
        for _ in range(each):
            await asyncio.sleep(0)

    tasks = [asyncio.create_task(yielder()) for _ in range(n)]
    await asyncio.sleep(0)
    begun = time.monotonic()
    await asyncio.gather(*tasks)
    measure.report("yield", (time.monotonic() - begun) * 1e9 / (each * n), "ns")


# ---- parked, sleepers


async def parked(n):
    gate, arrived, all_there = asyncio.Event(), 0, asyncio.Event()

    async def parker():
        nonlocal arrived
        arrived += 1
        if arrived == n:
            all_there.set()
        await gate.wait()

    tasks = [None] * n
    before, begun = measure.memory(), time.monotonic()
    for i in range(n):
        tasks[i] = asyncio.create_task(parker())
    await all_there.wait()
    measure.report("parked-create", (time.monotonic() - begun) * 1e6 / n, "us")
    measure.report("parked-bytes", (measure.memory() - before) / n, "bytes")
    gate.set()
    for task in tasks:
        await task


async def sleepers(n):
    start = time.monotonic() + measure.milliseconds("BENCH_LEAD_MS", 500)
    late, begun, delays = [0.0] * n, [0.0] * n, measure.random_delays(n)

    async def sleeper(i):
        deadline = start + delays[i]
        begun[i] = time.monotonic()
        await asyncio.sleep(deadline - begun[i])
        late[i] = time.monotonic() - deadline

    tasks = [asyncio.create_task(sleeper(i)) for i in range(n)]
    for task in tasks:
        await task
    measure.report_sleepers(late, begun, start)


# ---- convoy: hogs in threads, since a task that computes stops the loop

stop = False


def hog():
    while not stop:
        pass


async def streams():
    """A pipe as a reader and a writer of the event loop."""
    source, sink = os.pipe()
    loop, reader = asyncio.get_running_loop(), asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), open(source, "rb", 0))
    transport, protocol = await loop.connect_write_pipe(asyncio.streams.FlowControlMixin, open(sink, "wb", 0))
    return reader, asyncio.StreamWriter(transport, protocol, None, loop)


async def echo(reader, writer):
    while data := await reader.read(64):
        writer.write(data)


async def round_trips(reader, writer):
    enough, warm_up, shortest, longest, message, took = 2000, 3, 1, 3, b"e" * 64, []
    begun = start = time.monotonic()
    i = 0
    while begun - start < (longest if len(took) < enough else shortest):
        writer.write(message)
        assert await reader.readexactly(64) == message
        now = time.monotonic()
        if i >= warm_up:
            took.append(now - begun)
        begun = now
        i += 1
    return took


async def convoy(hogs):
    global stop
    (there_in, there_out), (back_in, back_out) = await streams(), await streams()
    threads = [asyncio.create_task(asyncio.to_thread(hog)) for _ in range(hogs)]
    serving = asyncio.create_task(echo(there_in, back_out))
    await asyncio.sleep(0)
    took = await round_trips(back_in, there_out)
    stop = True
    serving.cancel()
    await asyncio.gather(*threads)
    measure.report_convoy(took)


# ---- timers


async def timers(n):
    """call_later and cancel. What is cancelled leaves the loop's heap when the loop looks, so it may after each round."""
    loop = asyncio.get_running_loop()

    def fire():
        sys.exit("a timer fired")

    def start():
        call_later, uniform = loop.call_later, random.uniform
        return [call_later(uniform(1000, 2000), fire) for _ in range(n)]

    async def cancel(handles):
        for handle in handles:
            handle.cancel()
        await asyncio.sleep(0)

    others = start()
    started = cancelled = rounds = 0
    while not rounds or started + cancelled < measure.budget():
        begun = time.monotonic()
        handles = start()
        between = time.monotonic()
        await cancel(handles)
        started += between - begun
        cancelled += time.monotonic() - between
        rounds += 1
    await cancel(others)
    measure.report("timers-start", started * 1e9 / (rounds * n), "ns")
    measure.report("timers-cancel", cancelled * 1e9 / (rounds * n), "ns")


if __name__ == "__main__":
    measure.main(
        {
            name: (lambda fn: lambda n: asyncio.run(fn(n)))(fn)
            for name, fn in {
                "spawn": spawn,
                "yield": yielding,
                "parked": parked,
                "sleepers": sleepers,
                "convoy": convoy,
                "timers": timers,
            }.items()
        }
    )
