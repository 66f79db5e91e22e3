"""A manager's calls and queues by CPython's multiprocessing.managers."""

import multiprocessing
import queue
import time
from multiprocessing.managers import BaseManager

import measure

BATCH = 100
CONTEXT = multiprocessing.get_context("fork")


class Echo:
    def give_back(self, message):
        return message


class Manager(BaseManager):
    pass


Manager.register("Echo", Echo)
Manager.register("Queue", queue.Queue)


def timed(metric, step):
    def batch():
        for _ in range(BATCH):
            step()

    batch()
    begun, n = time.monotonic(), 0
    while time.monotonic() - begun < measure.budget():
        batch()
        n += BATCH
    measure.report(metric, (time.monotonic() - begun) * 1e6 / n, "us")


def call(size):
    message = bytes(size)
    with Manager(ctx=CONTEXT) as manager:
        echo = manager.Echo()

        def step():
            assert len(echo.give_back(message)) == size

        timed("manager-call", step)


def put_and_get(size):
    message = bytes(size)
    with Manager(ctx=CONTEXT) as manager:
        messages = manager.Queue(1024)

        def step():
            messages.put(message)
            assert len(messages.get()) == size

        timed("manager-queue", step)


WORKLOADS = {"manager-call": call, "manager-queue": put_and_get}
