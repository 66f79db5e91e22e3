"""What the tests of the servers in examples/ have in common. Only loopback, and ports that the kernel chooses."""
import os
import re
import resource
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BUILD = Path(sys.argv[1]).resolve()
SKIPPED = 77


def program(name):
    path = BUILD / f"example-{name}"
    if not path.exists():
        print(f"example-{name} is not built: llhttp is not installed")
        sys.exit(SKIPPED)
    return str(path)


def is_built_with(sanitizer):
    return f"__{sanitizer}_init".encode() in Path(program("httpd")).read_bytes()


def expect(condition, what, *seen):
    if not condition:
        raise AssertionError(f"{what}: {seen}" if seen else what)


def eventually(condition, what, seconds=45):
    """Waits for a state, and fails when it has not come in time."""
    end = time.monotonic() + seconds
    while not condition():
        expect(time.monotonic() < end, f"{what}, within {seconds} s")
        time.sleep(0.01)


def begin_child(files):
    """In the child: a background job of a shell has these two ignored, and thrum then leaves them so."""
    for which in signal.SIGINT, signal.SIGQUIT:
        signal.signal(which, signal.SIG_DFL)
    if files:
        resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))


class Server:
    """A server that runs: its port is what it says in its first line. At the end of the block it is stopped, and has to end in order."""

    def __init__(self, name, *arguments, files=None):
        self.errors = tempfile.TemporaryFile(mode="a+")  # appends, wherever it was read last
        self.process = subprocess.Popen([program(name), "--port=0", *map(str, arguments)], stdout=subprocess.PIPE,
                                        stderr=self.errors, text=True, preexec_fn=lambda: begin_child(files))
        line = self.process.stdout.readline()
        found = re.fullmatch(r"listening on port (\d+)\n", line)
        expect(found, "the first line says the port", line, self.told())
        self.port = int(found[1])
        servers.append(self)
        eventually(self.is_at_rest, "all its threads wait")
        self.quiet_threads, self.quiet_files = self.threads(), self.files()

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if kind is None and self.process.poll() is None:
            self.stop()

    def told(self):
        self.errors.seek(0)
        return self.errors.read()

    def files(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def threads(self):
        """As its dump counts them. One that is asked for while the last one is still being written is none: it is asked for again."""
        before = len(re.findall(r"^thrum .*: \d+ threads", self.told(), re.M))
        found, asked = [], 0.0

        def dumped():
            nonlocal asked
            if time.monotonic() - asked > 1:
                self.process.send_signal(signal.SIGQUIT)
                asked = time.monotonic()
            found[:] = re.findall(r"^thrum .*: (\d+) threads", self.told(), re.M)
            return len(found) > before
        eventually(dumped, "a dump")
        return int(found[-1])

    def is_at_rest(self):
        """Whether a new dump has no thread that is on its way to its first wait, for which descriptors may be made."""
        count = self.threads()
        states = re.findall(r'^"[^"]*" #\d+ \w+, (\w+)', self.told().rpartition("thrum 0.")[2], re.M)
        return len(states) >= count and set(states) == {"waiting"}

    def cpu_seconds(self):
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def expect_quiet(self, seconds=45):
        """No descriptor and no thread is left of what was."""
        eventually(lambda: self.files() <= self.quiet_files, f"{self.quiet_files} descriptors, and not {self.files()}", seconds)
        eventually(lambda: self.threads() <= self.quiet_threads, f"{self.quiet_threads} threads", seconds)

    def connect(self):
        return socket.create_connection(("localhost", self.port), timeout=30)

    def stop(self, how=signal.SIGTERM, seconds=45, cut=None):
        self.process.send_signal(how)
        status = self.process.wait(seconds)
        told = self.told()
        expect(status == 0, "a clean end", status, told)
        found = re.search(r": stopped, (\d+) connections cut off$", told, re.M)
        expect(found and (cut is None or int(found[1]) == cut), f"{cut} connections were cut off", told)
        for trouble in "ERROR: ", "WARNING: ThreadSanitizer", "abandoned":
            expect(trouble not in told, trouble, told)


servers = []


def receive_all(s):
    """Until the end. A reset is told as such."""
    parts = []
    try:
        while part := s.recv(1 << 16):
            parts.append(part)
    except ConnectionResetError:
        parts.append(b"<reset>")
    return b"".join(parts)


def reset(s):
    """Closes it as a process that dies does while bytes are unread."""
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()


def is_closed(s):
    """Whether the peer has closed it, without waiting."""
    s.setblocking(False)
    try:
        return s.recv(1 << 16) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True
    finally:
        s.settimeout(30)


def refused(name, *arguments, said):
    done = subprocess.run([program(name), *arguments], capture_output=True, text=True, timeout=45)
    expect(done.returncode == 2 and said in done.stderr, f"{name} {arguments} is refused", done.returncode, done.stderr)


def too_long(number, frame):
    raise TimeoutError("it takes too long")


def run(checks, seconds=60):
    """Each check for so long at most. If one fails, the servers that still run say what their threads do."""
    only = sys.argv[2:]
    signal.signal(signal.SIGALRM, too_long)
    for check in checks:
        if only and check.__name__ not in only:
            continue
        start = time.monotonic()
        signal.alarm(seconds)
        try:
            check()
        except BaseException as e:
            signal.alarm(0)
            print(f"FAILED: {check.__name__}: {type(e).__name__}: {e}")
            report()
            raise
        signal.alarm(0)
        print(f"ok: {check.__name__} ({time.monotonic() - start:.1f} s)", flush=True)


def report():
    for server in servers:
        if server.process.poll() is None:
            server.process.send_signal(signal.SIGQUIT)
            time.sleep(1)  # for the dump, as it cannot be asked for whether it is whole
            print(server.told()[-20000:])
            server.process.kill()
            server.process.wait()
        elif server.process.returncode:
            print(f"{server.process.args[0]} ended with {server.process.returncode}\n{server.told()[-20000:]}")
