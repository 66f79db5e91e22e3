"""Echo over TCP with asyncio, by protocols, which are its fastest way; and reading of files by the plain calls."""

import asyncio
import os
import random
import resource
import socket
import sys
import tempfile
import time

import measure

SIZE = int(os.environ.get("BENCH_BYTES", 64))
MESSAGE = b"e" * SIZE
FILE_BYTES = 32 << 20


def raise_limit(connections):
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most < 2 * connections + 100:
        sys.exit(f"only {most} descriptors are allowed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


class Server(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write(data)


class Client(asyncio.Protocol):
    def __init__(self, shared):
        self.shared, self.times, self.done, self.answer = shared, [], 0, b""

    def connection_made(self, transport):
        self.transport = transport

    def ask(self):
        self.begun = time.monotonic()
        self.transport.write(MESSAGE)

    def data_received(self, data):
        self.answer += data
        if len(self.answer) < SIZE:
            return
        if self.answer != MESSAGE:
            sys.exit("the echo is not what was sent")
        self.answer = b""
        self.times.append(time.monotonic() - self.begun)
        self.done += 1
        if not self.shared.stop:
            self.ask()


class Shared:
    stop = False


async def echo(n):
    raise_limit(n)
    loop, shared = asyncio.get_running_loop(), Shared()
    server = await loop.create_server(Server, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    clients = [
        (await loop.create_connection(lambda: Client(shared), "127.0.0.1", port))[1] for _ in range(n)
    ]
    for client in clients:
        client.ask()
    while any(client.done == 0 for client in clients):
        await asyncio.sleep(0.01)
    await asyncio.sleep(measure.budget() / 2)
    begun, before = time.monotonic(), sum(client.done for client in clients)
    await asyncio.sleep(2 * measure.budget())
    done = sum(client.done for client in clients) - before
    measure.report("echo", done / (time.monotonic() - begun), "/s")
    shared.stop = True
    took = sorted(t for client in clients for t in client.times)
    measure.report("echo-p99", took[len(took) * 99 // 100] * 1e6, "us")
    os._exit(sys.stdout.flush() or 0)


async def idle_connection(n):
    raise_limit(n)
    before = measure.memory()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Server, "127.0.0.1", 0)
    address = server.sockets[0].getsockname()
    clients = [None] * n
    for i in range(n):
        clients[i] = socket.socket()
        clients[i].setblocking(False)
        await loop.sock_connect(clients[i], address)
        clients[i].send(MESSAGE)
    for client in clients:
        assert await loop.sock_recv(client, SIZE) == MESSAGE
    await asyncio.sleep(0.1)
    measure.report("idle-connection", (measure.memory() - before) / n, "bytes")
    os._exit(sys.stdout.flush() or 0)


def measure_file(metric, one_pass):
    with tempfile.TemporaryFile() as file:
        file.write(b"f" * FILE_BYTES)
        file.flush()
        fd, blocks, passes = file.fileno(), FILE_BYTES // SIZE, 0
        one_pass(fd, blocks)
        begun = time.monotonic()
        while time.monotonic() - begun < measure.budget():
            one_pass(fd, blocks)
            passes += 1
        measure.report(metric, (time.monotonic() - begun) * 1e9 / (passes * blocks), "ns")


def in_turn(fd, blocks):
    os.lseek(fd, 0, os.SEEK_SET)
    for _ in range(blocks):
        assert len(os.read(fd, SIZE)) == SIZE


def at_random(fd, blocks):
    for place in random.choices(range(0, FILE_BYTES, SIZE), k=blocks):
        assert len(os.pread(fd, SIZE, place)) == SIZE


if __name__ == "__main__":
    measure.main(
        {
            "echo": lambda n: asyncio.run(echo(n)),
            "idle-connection": lambda n: asyncio.run(idle_connection(n)),
            "file-read": lambda n: measure_file("file-read", in_turn),
            "file-pread": lambda n: measure_file("file-pread", at_random),
        }
    )
