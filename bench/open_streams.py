#!/usr/bin/env python3
"""Many open streams at one `symbiont serve`: whether each gets its whole answer, and what one that waits takes of the gateway.

  bench/open_streams.py [--streams 1000] [--tokens 8] [--idle 10000]

First `--streams` streamed answers at once: all have to end with [DONE] and a finish reason. Then `--idle` streams whose executions
wait in the queue behind one that runs: the gateway's resident memory before and after, divided by their number. Needs
SYMBIONT_BIN_DIR and SYMBIONT_TEST_MODEL, and as many descriptors as streams (ulimit -n).
"""

import argparse
import asyncio
import json
import os
import pathlib
import re
import subprocess
import tempfile
import time

CONFIG = """
[slm]
[slm.sandbox_profiles.secure.process_limits]
max_execution_time_seconds = 3600
[[slm.model_allow_lists.global_models]]
id = "model"
name = "model"
provider = {{ LocalFile = {{ file_path = "{model}" }} }}
capabilities = ["TextGeneration"]
isolation = "shared"
[server]
listen = "127.0.0.1:0"
[server.limits]
max_connections = 50000
max_queued = {queued}
max_queued_per_agent = {queued}
max_running = {running}
max_running_per_agent = {running}
execution_timeout_seconds = 3600
"""


class Gateway:
    def __init__(self, running, queued):
        self.folder = tempfile.TemporaryDirectory()
        config = pathlib.Path(self.folder.name) / "symbiont.toml"
        config.write_text(CONFIG.format(model=os.environ["SYMBIONT_TEST_MODEL"], running=running, queued=queued))
        self.process = subprocess.Popen([os.path.join(os.environ["SYMBIONT_BIN_DIR"], "symbiont"), "serve", "--config", config],
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.port = int(re.search(r":(\d+)$", self.process.stdout.readline().strip())[1])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.folder.cleanup()

    def resident_bytes(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) * 1024


async def open_stream(port, number, tokens):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    body = json.dumps({"model": "model", "stream": True, "max_tokens": tokens, "temperature": 0,
                       "messages": [{"role": "user", "content": f"Say {number}."}]})
    writer.write(f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                 f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}".encode())
    await writer.drain()
    return reader, writer


async def whole_answer(port, number, tokens):
    reader, writer = await open_stream(port, number, tokens)
    text = (await reader.read(-1)).decode()
    writer.close()
    return " 200 " in text[:20] and '"finish_reason":"' in text and "data: [DONE]" in text


async def answers(port, count, tokens):
    return await asyncio.gather(*(whole_answer(port, number, tokens) for number in range(count)), return_exceptions=True)


async def idle(gateway, count):
    first = await open_stream(gateway.port, 0, 4000)  # runs meanwhile
    await first[0].read(200)
    before = gateway.resident_bytes()
    streams = [await open_stream(gateway.port, number, 4) for number in range(1, count + 1)]
    await asyncio.sleep(2)
    after = gateway.resident_bytes()
    still_open = sum(not reader.at_eof() and not reader._buffer.startswith(b"HTTP/1.1 4") for reader, _ in streams)
    return before, after, still_open


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--streams", type=int, default=1000)
    parser.add_argument("--tokens", type=int, default=8)
    parser.add_argument("--idle", type=int, default=10000)
    options = parser.parse_args()
    with Gateway(running=64, queued=max(options.streams, 1)) as gateway:
        start = time.monotonic()
        results = asyncio.run(answers(gateway.port, options.streams, options.tokens))
        whole = sum(result is True for result in results)
        print(f"{options.streams} streams at once: {whole} whole answers in {time.monotonic() - start:.1f} s")
    with Gateway(running=1, queued=options.idle + 1) as gateway:
        before, after, still_open = asyncio.run(idle(gateway, options.idle))
        print(f"{still_open} of {options.idle} streams wait, {(after - before) / max(options.idle, 1) / 1024:.1f} KiB each "
              f"(gateway {before >> 20} MiB before, {after >> 20} MiB with them)")


if __name__ == "__main__":
    main()
