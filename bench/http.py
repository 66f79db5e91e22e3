#!/usr/bin/env python3
"""Serves files by HTTP with thrum's example, nginx and Go's net/http, and asks for them with wrk.

    bench/http.py [--seconds N] [--runs N] [--workers N]

Prints requests a second, medians of runs that take turns, and the ratio to nginx. wrk needs a CPU of its own; with two CPUs
it shares them with the server, whichever that is. ./dev build makes thrum's server; nginx, wrk and go must be there."""

import argparse
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build"
FILES = {"100 bytes": ("small.txt", 100), "8 KiB": ("page.html", 8192), "1 MiB": ("large.bin", 1 << 20)}
CONNECTIONS = (1, 64, 500)
NGINX = """
worker_processes {workers};
error_log stderr crit;
pid {folder}/pid;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  sendfile on;
  tcp_nopush on;
  keepalive_requests 1000000000;
  server {{ listen 127.0.0.1:{port}; root {folder}/files; }}
}}
"""


def address_in(line):
    port = re.search(r"(\d+)$", line.strip())
    if not port:
        sys.exit(f"http: no port in the server's first line: {line!r}")
    return f"127.0.0.1:{port[1]}"


def start_printing(command, environment):
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, **environment})
    return server, address_in(server.stdout.readline())


def thrum(folder, workers):
    program = BUILD / "release/examples/example-httpd"
    return start_printing([program, "--port=0", folder / "files"], {"THRUM_WORKERS": str(workers)})


def go(folder, workers):
    program = BUILD / "bench/go-http"
    subprocess.run(["go", "build", "-o", program, "."], cwd=ROOT / "bench/peers/go-http", check=True)
    return start_printing([program, folder / "files"], {"GOMAXPROCS": str(workers)})


def nginx(folder, workers):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    config = folder / "nginx.conf"
    config.write_text(NGINX.format(workers=workers, folder=folder, port=port))
    server = subprocess.Popen(["nginx", "-c", config, "-g", "daemon off;"])
    address = ("127.0.0.1", port)
    while socket.socket().connect_ex(address) != 0:
        if server.poll() is not None:
            sys.exit("http: nginx does not start")
        time.sleep(0.01)
    return server, f"127.0.0.1:{port}"


SERVERS = {"thrum": thrum, "nginx": nginx, "go": go}


def ask(address, name, connections, seconds):
    """Requests a second; every answer must have been right."""
    url = f"http://{address}/{name}"
    output = subprocess.run(["wrk", "-t1", f"-c{connections}", f"-d{seconds}", url], capture_output=True, text=True,
                            check=True).stdout
    if "Non-2xx" in output or "Socket errors" in output:
        sys.exit(f"http: {url}: {output}")
    return float(re.search(r"Requests/sec: +([\d.]+)", output)[1])


def measure(folder, workers, runs, seconds):
    rates = {}
    for _ in range(runs):
        for server_name, start in SERVERS.items():
            server, address = start(folder, workers)
            for what, (name, _) in FILES.items():
                for connections in CONNECTIONS:
                    rate = ask(address, name, connections, seconds)
                    rates.setdefault((what, connections), {}).setdefault(server_name, []).append(rate)
            server.terminate()
            server.wait()
    return rates


def report(rates, workers):
    print(f"{'file':10} {'connections':>11} {'workers':>7}  " + "  ".join(f"{name:>9}" for name in SERVERS) + "   thrum/nginx  thrum/go")
    for (what, connections), by_server in rates.items():
        medians = {name: statistics.median(values) for name, values in by_server.items()}
        print(f"{what:10} {connections:11} {workers:7}  " + "  ".join(f"{medians[name]:9,.0f}" for name in SERVERS) +
              f"   {medians['thrum'] / medians['nginx']:11.2f}  {medians['thrum'] / medians['go']:8.2f}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=2)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--workers", type=int, choices=(1, 2), action="append")
    options = parser.parse_args()
    missing = [tool for tool in ("nginx", "wrk", "go") if not shutil.which(tool)]
    if missing:
        sys.exit(f"http: not installed: {', '.join(missing)} (nginx-light, wrk, golang-go)")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "files").mkdir()
        for file_name, size in FILES.values():
            (folder / "files" / file_name).write_bytes(b"x" * size)
        for workers in options.workers or (1, 2):
            report(measure(folder, workers, options.runs, options.seconds), workers)


if __name__ == "__main__":
    main()
