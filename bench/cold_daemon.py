#!/usr/bin/env python3
"""From the start of a server to the first token of its first answer, servers in turn in one run.

  bench/cold_daemon.py [--rounds 5] NAME=URL,MODEL=COMMAND ...

COMMAND is split as a shell does. The model's file is in the page cache from the first round on. Prints the median for each
server and its ratio to the first one.
"""

import argparse
import contextlib
import shlex
import socket
import statistics
import subprocess
import time
import urllib.parse

from http_streams import Stream

MOST_SECONDS = 60


def accepts(url):
    address = urllib.parse.urlsplit(url)
    with contextlib.suppress(OSError), socket.create_connection((address.hostname, address.port), timeout=1):
        return True
    return False


def first_token(server):
    """Seconds. A server that listens before it can answer says so by an error, and is asked again."""
    begin = time.monotonic()
    with subprocess.Popen(server["command"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            while time.monotonic() < begin + MOST_SECONDS:
                if accepts(server["url"]):
                    stream = Stream(server, 1, 1)
                    stream.run()
                    if stream.first is not None:
                        return time.monotonic() - begin
                time.sleep(0.002)
            raise SystemExit(f"{server['name']}: no answer in {MOST_SECONDS} s")
        finally:
            process.terminate()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("servers", nargs="+", metavar="NAME=URL,MODEL=COMMAND")
    options = parser.parse_args()
    servers = []
    for text in options.servers:
        name, where, command = text.split("=", 2)
        url, _, model = where.partition(",")
        servers.append({"name": name, "url": url, "model": model, "command": shlex.split(command)})
    times = {server["name"]: [] for server in servers}
    for round_number in range(-1, options.rounds):
        for server in servers if round_number % 2 == 0 else servers[::-1]:
            taken = first_token(server)
            if round_number >= 0:
                times[server["name"]].append(taken)
    first = statistics.median(times[servers[0]["name"]])
    print(f"from a cold start to the first token, median of {options.rounds}:")
    for name, taken in times.items():
        print(f"  {name:<18}{statistics.median(taken):>7.3f} s  ratio {statistics.median(taken) / first:.2f}")


if __name__ == "__main__":
    main()
