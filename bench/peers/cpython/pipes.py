"""Messages between two processes by CPython's multiprocessing."""

import multiprocessing
import time

import measure

BATCH = 100


def echo(connection, other):
    other.close()
    try:
        while True:
            connection.send_bytes(connection.recv_bytes())
    except EOFError:
        pass


def trips(connection, message):
    for _ in range(BATCH):
        connection.send_bytes(message)
        connection.recv_bytes()


def pipe(size):
    message = bytes(size)
    mine, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(target=echo, args=(theirs, mine))
    process.start()
    theirs.close()
    trips(mine, message)
    begun, n = time.monotonic(), 0
    while time.monotonic() - begun < measure.budget():
        trips(mine, message)
        n += BATCH
    measure.report("pipe", (time.monotonic() - begun) * 1e6 / n, "us")
    mine.close()
    process.join()


WORKLOADS = {"pipe": pipe}
