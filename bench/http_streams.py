#!/usr/bin/env python3
"""Chat streams against servers that speak OpenAI's API, side by side in one run.

  bench/http_streams.py [--streams 1,4,16] [--tokens 64] [--rounds 2] NAME=URL[,MODEL[,PID]] ...

Each round asks every server in turn, in changing order; every stream has a prompt of its own. Prints tokens per second over
all streams, the median and the 99th percentile of the time to the first token, and each server's ratio to the first one. With a
PID also the processor time of that process, a token.
"""

import argparse
import http.client
import json
import pathlib
import statistics
import threading
import time
import urllib.parse

PROMPT = ("You are agent number {0}. Write a short story about a lighthouse keeper who counts ships, and begin with the "
          "number {0}.")


class Stream:
    """One streamed answer: when its first token came, and how many there were."""

    def __init__(self, server, number, tokens):
        self.server, self.number, self.tokens = server, number, tokens
        self.first = None
        self.count = 0
        self.error = None

    def run(self):
        try:
            self.ask()
        except (OSError, ValueError, KeyError, http.client.HTTPException) as error:
            self.error = error

    def ask(self):
        url = urllib.parse.urlsplit(self.server["url"])
        connection = http.client.HTTPConnection(url.hostname, url.port, timeout=600)
        body = {"model": self.server["model"], "stream": True, "max_tokens": self.tokens, "temperature": 0.8, "seed": 1,
                "stream_options": {"include_usage": True},
                "messages": [{"role": "user", "content": PROMPT.format(self.number)}]}
        start = time.monotonic()
        connection.request("POST", "/v1/chat/completions", json.dumps(body), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        if answer.status != 200:
            raise ValueError(f"status {answer.status}: {answer.read(300)!r}")
        for line in answer:
            if not line.startswith(b"data: {"):
                continue
            event = json.loads(line[6:])
            if event.get("usage"):
                self.count = event["usage"]["completion_tokens"]
            if self.first is None and event["choices"] and event["choices"][0]["delta"].get("content"):
                self.first = time.monotonic() - start
        connection.close()


def ask_all(server, streams, tokens, base):
    runs = [Stream(server, base + i, tokens) for i in range(streams)]
    threads = [threading.Thread(target=run.run) for run in runs]
    start = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    elapsed = time.monotonic() - start
    for run in runs:
        if run.error:
            raise SystemExit(f"{server['name']}: {run.error}")
    count = sum(run.count for run in runs)
    return count / elapsed, [run.first for run in runs if run.first is not None], count


def processor_seconds(server):
    """Of the process's threads, which a server keeps; its children do not count. In the scheduler's nanoseconds."""
    if not server["pid"]:
        return 0.0
    return sum(int(path.read_text().split()[0]) for path in pathlib.Path(f"/proc/{server['pid']}/task").glob("*/schedstat")) / 1e9


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", default="1,4,16")
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("servers", nargs="+", metavar="NAME=URL[,MODEL[,PID]]")
    options = parser.parse_args()
    servers = []
    for text in options.servers:
        name, _, rest = text.partition("=")
        url, model, pid, *_ = [*rest.split(","), "", ""]
        servers.append({"name": name, "url": url, "model": model or "model", "pid": pid})
    base = 1
    for server in servers:
        ask_all(server, 1, 4, base)  # warm
    print(f"{'streams':>7}  {'server':<18}{'tokens/s':>9}{'ratio':>7}{'first p50 s':>13}{'ratio':>7}{'p99 s':>8}{'us/token':>10}")
    for streams in (int(text) for text in options.streams.split(",")):
        rates = {server["name"]: [] for server in servers}
        used = {server["name"]: 0.0 for server in servers}
        tokens = {server["name"]: 0 for server in servers}
        firsts = {server["name"]: [] for server in servers}
        for round_number in range(options.rounds):
            order = servers if round_number % 2 == 0 else servers[::-1]
            for server in order:
                base += streams
                before = processor_seconds(server)
                rate, first, count = ask_all(server, streams, options.tokens, base)
                used[server["name"]] += processor_seconds(server) - before
                tokens[server["name"]] += count
                rates[server["name"]].append(rate)
                firsts[server["name"]] += first
        first_rate = statistics.mean(rates[servers[0]["name"]])
        first_median = statistics.median(firsts[servers[0]["name"]])
        for server in servers:
            rate = statistics.mean(rates[server["name"]])
            times = sorted(firsts[server["name"]])
            median = statistics.median(times)
            last = times[min(len(times) - 1, int(len(times) * 0.99))]
            print(f"{streams:>7}  {server['name']:<18}{rate:>9.1f}{rate / first_rate:>7.2f}{median:>13.3f}"
                  f"{median / first_median:>7.2f}{last:>8.3f}"
                  + (f"{used[server['name']] / tokens[server['name']] * 1e6:>10.0f}" if server["pid"] else ""))


if __name__ == "__main__":
    main()
