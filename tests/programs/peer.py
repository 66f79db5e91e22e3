"""The other end of a connection, by Python's multiprocessing.

    peer.py version                     ends with the minor version of Python 3
    peer.py echo IN OUT                 connections over these descriptors: sends back what it receives
    peer.py handles FD                  receives a descriptor and writes to it, then sends the reading end of a pipe
    peer.py long FD SIZE                begins to send so many bytes, and minds not that nobody takes them
    peer.py client ADDRESS KEY          dials, echoes
    peer.py listener ADDRESS KEY COUNT  listens, prints where, and echoes with COUNT that dial, one after the other

ADDRESS is unix:PATH, unix:@NAME or tcp:HOST:PORT. Prints "ok" for each connection that came about, else the exception's name.
"""
import mmap
import os
import sys
from multiprocessing import reduction
from multiprocessing.connection import Client, Connection, Listener


def address_of(text):
    scheme, rest = text.split(":", 1)
    if scheme == "unix":
        return "\0" + rest[1:] if rest[0] == "@" else rest
    host, port = rest.rsplit(":", 1)
    return host, int(port)


def echo(source, sink):
    while True:
        try:
            message = source.recv_bytes()
        except EOFError:
            return
        sink.send_bytes(message)


def attempt(connect):
    """One connection from its beginning to its end."""
    try:
        with connect() as c:
            print("ok", flush=True)
            echo(c, c)
    except Exception as e:  # whatever it is, it is told
        print(type(e).__name__, flush=True)


def handles(fd):
    c = Connection(fd)
    got = reduction.recv_handle(c)
    os.write(got, b"from python")
    os.close(got)
    r, w = os.pipe()
    c.send_bytes(b"a descriptor follows")
    reduction.send_handle(c, r, None)
    os.write(w, b"through a pipe of python's")


def send_long(fd, size):
    """Of memory that no page is behind before it is sent."""
    no_reserve = 0x4000  # it is not in the module before 3.12
    nothing = mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | no_reserve)
    try:
        Connection(fd).send_bytes(nothing)
    except (BrokenPipeError, ConnectionResetError):
        print("ok", flush=True)


def listen(address, key, count):
    with Listener(address_of(address), authkey=key) as listener:
        where = listener.address
        print(address if isinstance(where, (str, bytes)) else "tcp:%s:%d" % where, flush=True)
        for _ in range(count):
            attempt(listener.accept)


def main(mode, *args):
    if mode == "version":
        sys.exit(sys.version_info[1])
    elif mode == "echo":
        source, sink = map(int, args)
        a = Connection(source, writable=source == sink)
        echo(a, a if source == sink else Connection(sink, readable=False))
    elif mode == "handles":
        handles(int(args[0]))
    elif mode == "long":
        send_long(*map(int, args))
    elif mode == "client":
        attempt(lambda: Client(address_of(args[0]), authkey=args[1].encode()))
    else:
        listen(args[0], args[1].encode(), int(args[2]))


main(*sys.argv[1:])
