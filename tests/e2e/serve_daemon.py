"""A running `symbiont serve` for tests, and a client for it that needs the standard library only."""

import http.client
import importlib
import json
import os
import pathlib
import queue
import re
import signal
import subprocess
import sys
import threading
import time

BINARY = pathlib.Path(os.environ["SYMBIONT_BIN_DIR"]) / "symbiont"
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
MODEL = os.environ.get("SYMBIONT_TEST_MODEL") or str(
    CACHE / "symbiont/models/SmolLM2-135M-Instruct.Q4_1.gguf")
START_SECONDS = 30
ROOT = pathlib.Path(os.environ["SYMBIONT_SOURCE_DIR"])

CONFIG = """
[slm]
[[slm.model_allow_lists.global_models]]
id = "small"
name = "Small"
provider = { LocalFile = { file_path = "%(model)s" } }
capabilities = ["TextGeneration"]
[[slm.model_allow_lists.global_models]]
id = "other"
name = "Somebody else's"
provider = { LocalFile = { file_path = "%(model)s" } }
capabilities = ["TextGeneration"]
[slm.model_allow_lists.agent_model_maps]
"reader" = ["small"]
"default" = ["small"]
[server]
listen = "127.0.0.1:0"
%(server)s
"""


def until(condition, seconds=20):
    """Whether `condition()` became true in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.02)
    return False


def pinned_version(name):
    return re.search(rf"^{name}_VERSION=(.*)$", (ROOT / "scripts/versions").read_text(), re.M)[1]


def client_package(name):
    """A Python package that scripts/bootstrap test leaves in the cache; None when it is not there."""
    sys.path.insert(0, str(CACHE / f"symbiont/{name}-{pinned_version(name.upper())}"))
    try:
        return importlib.import_module(name)
    except ImportError as error:
        if os.environ.get("SYMBIONT_REQUIRE") == "all":
            raise
        print(f"skipped: no {name} package ({error}); scripts/bootstrap test installs it")
        return None


def key_command(*arguments):
    result = subprocess.run([BINARY, "key", *arguments], capture_output=True, text=True, timeout=60, check=False)
    if result.returncode != 0:
        raise AssertionError(result.stderr)
    return result.stdout


def messages(prompt):
    return [{"role": "system", "content": "You are a helpful assistant."}, {"role": "user", "content": prompt}]


class Daemon:
    """One process; its standard error is the log, kept as parsed lines."""

    def __init__(self, *arguments, stderr=subprocess.PIPE, **options):
        self.process = subprocess.Popen([BINARY, "serve", *arguments], stdout=subprocess.PIPE, stderr=stderr, text=True,
                                        **options)
        self.log = []
        lines = queue.SimpleQueue()
        for stream, take in ((self.process.stdout, lines.put), (self.process.stderr, self._take_log)):
            if stream is None:
                continue
            threading.Thread(target=lambda s=stream, t=take: [t(line) for line in s], daemon=True).start()
        self.text = ""
        end = time.monotonic() + START_SECONDS
        while " -d '" not in self.text:  # the last line of what it says
            try:
                self.text += lines.get(timeout=max(0.01, end - time.monotonic()))
            except queue.Empty:
                self.stop()
                raise AssertionError(f"it did not start: {self.text!r} {self.log}") from None
        found = re.search(r"http://127\.0\.0\.1:(\d+)", self.text)
        self.port = int(found[1]) if found else None

    def _take_log(self, line):
        try:
            self.log.append(json.loads(line))
        except ValueError:
            self.log.append({"event": "not JSON", "text": line})

    def events(self, name):
        return [line for line in list(self.log) if line.get("event") == name]

    def stop(self, signal_number=signal.SIGTERM):
        """Ends it; its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal_number)
        try:
            return self.process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise

    def connect(self, timeout=120):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)

    def call(self, method, path, body=None, key=None, headers=None):
        """(status, headers, text) of one request on a connection of its own."""
        headers = dict(headers or {})
        if key:
            headers["Authorization"] = f"Bearer {key}"
        connection = self.connect()
        try:
            if body is not None and not isinstance(body, (str, bytes)):
                body = json.dumps(body)
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            return response.status, response.headers, response.read().decode()
        finally:
            connection.close()

    def chat(self, prompt, key=None, **more):
        body = {"model": "small", "messages": messages(prompt), "temperature": 0, **more}
        return self.call("POST", "/v1/chat/completions", body, key)

    def executions(self, key):
        status, _, text = self.call("GET", "/admin/executions", key=key)
        if status != 200:
            raise AssertionError(text)
        return json.loads(text)["executions"]
