"""The gateway when things go wrong: workers that die or stop, hostile models, clients that do not read, full disks, clocks that
jump, descriptors that run out. Whatever happens to one, the answers of others are whole."""

import contextlib
import http.client
import json
import os
import pathlib
import resource
import signal
import socket
import subprocess
import tempfile
import threading
import time
import unittest

from cli_test import descendants, is_running
from serve_daemon import MODEL, Daemon, key_command, messages, until

CLOCK = os.environ["SYMBIONT_JUMPING_CLOCK"]
TINY = os.environ["SYMBIONT_MAKE_TINY_GGUF"]
STORY = "Tell me a very long story about the sea."
DAY = 86400

CONFIG = """
[slm]
default_sandbox_profile = "short"
[slm.sandbox_profiles.short.process_limits]
max_execution_time_seconds = %(seconds)d
process_priority = 0
[[slm.model_allow_lists.global_models]]
id = "small"
name = "Small"
provider = { LocalFile = { file_path = "%(model)s" } }
capabilities = ["TextGeneration"]
[[slm.model_allow_lists.global_models]]
id = "hostile"
name = "Hostile"
provider = { LocalFile = { file_path = "%(hostile)s" } }
capabilities = ["TextGeneration"]
[slm.model_allow_lists.agent_model_maps]
"victim" = ["small", "hostile"]
"neighbour" = ["small"]
[server]
listen = "127.0.0.1:0"
keys_file = "%(keys)s"
%(server)s
"""


class Stream:
    """A chat that is read in a thread of its own."""

    def __init__(self, daemon, key, tokens, prompt=STORY):
        self.connection = daemon.connect()
        body = {"model": "small", "stream": True, "max_tokens": tokens, "temperature": 0, "messages": messages(prompt)}
        self.connection.request("POST", "/v1/chat/completions", json.dumps(body), {"Authorization": f"Bearer {key}"})
        self.response = self.connection.getresponse()
        self.first = self.response.readline()
        self.rest = b""
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self):
        with self.response:
            self.rest = self.response.read()

    def end(self, seconds=120):
        """The text of all events, once the stream has ended."""
        self.thread.join(seconds)
        if self.thread.is_alive():
            raise AssertionError("the stream has no end")
        self.connection.close()
        return (self.first + self.rest).decode()


class Faults(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = pathlib.Path(temporary.name)
        self.keys = str(self.folder / "keys.json")
        self.victim, self.neighbour = self.make_key("victim"), self.make_key("neighbour")

    def make_key(self, agent, *more):
        return key_command("new", "--keys", self.keys, "--agent", agent, *more).strip()

    def start(self, server="", seconds=60, before=None, environment=None, stderr=subprocess.PIPE):
        hostile = self.folder / "hostile.gguf"
        if not hostile.exists():
            subprocess.run([TINY, hostile, "--hostile", "tokens-duplicate"], check=True)
        config = self.folder / "symbiont.toml"
        config.write_text(CONFIG % {"model": MODEL, "hostile": hostile, "keys": self.keys, "server": server,
                                    "seconds": seconds})
        daemon = Daemon("--config", str(config), preexec_fn=before, env={**os.environ, **(environment or {})},
                        stderr=stderr)
        self.addCleanup(daemon.stop)
        return daemon

    def workers(self, daemon):
        found = []
        for pid in descendants(daemon.process.pid):
            with contextlib.suppress(OSError):
                if "symbiont-worker" in pathlib.Path(f"/proc/{pid}/cmdline").read_text():
                    found.append(pid)
        return found

    def worker_of(self, daemon, begin):
        """What begin() returns, and the worker that came with it."""
        before = set(self.workers(daemon))
        begun = begin()
        new = set(self.workers(daemon)) - before
        self.assertEqual(len(new), 1)
        return begun, new.pop()

    def expect_whole(self, stream):
        text = stream.end()
        self.assertTrue(text.rstrip().endswith("data: [DONE]"), text[-300:])
        self.assertNotIn('"error"', text)

    def expect_answer(self, daemon, key, **more):
        status, _, text = daemon.chat("Hi", key, max_tokens=2, **more)
        self.assertEqual(status, 200, text)

    def test_a_worker_that_dies_or_stops_costs_its_own_executions_only(self):
        daemon = self.start(seconds=6)
        for number in (signal.SIGKILL, signal.SIGSTOP, signal.SIGABRT):
            with self.subTest(number.name):
                stream, worker = self.worker_of(daemon, lambda: Stream(daemon, self.victim, 2000))
                other = Stream(daemon, self.neighbour, 60, "Count to ten.")
                os.kill(worker, number)
                self.assertIn('"error"', stream.end(30))
                self.expect_whole(other)
                self.assertTrue(until(lambda pid=worker: not is_running(pid)))
                self.expect_answer(daemon, self.neighbour)
                # Its own next execution waits out the pause after a failure, and gets a new worker.
                self.assertTrue(until(lambda: daemon.chat("Hi", self.victim, max_tokens=2)[0] == 200, 40))
                for pid in self.workers(daemon):
                    os.kill(pid, signal.SIGKILL)
                self.assertTrue(until(lambda: not self.workers(daemon)))
                self.assertTrue(until(lambda: daemon.chat("Hi", self.neighbour, max_tokens=2)[0] == 200, 40))

    def test_a_hostile_model_costs_nobody_else(self):
        daemon = self.start()
        other = Stream(daemon, self.neighbour, 100)
        for _ in range(3):
            status, _, text = daemon.chat("Hi", self.victim, model="hostile")
            self.assertIn(status, (500, 503), text)
            self.assertNotIn("/", json.loads(text)["error"]["message"])
        self.expect_whole(other)
        self.expect_answer(daemon, self.victim)

    def test_a_prompt_as_large_as_allowed_costs_nobody_else(self):
        daemon = self.start("[server.limits]\nmax_body_bytes = 4000000")
        other = Stream(daemon, self.neighbour, 60)
        status, _, text = daemon.chat("word " * 200000, self.victim)
        self.assertEqual((status, json.loads(text)["error"]["code"]), (400, "context_length_exceeded"), text[:300])
        self.expect_whole(other)
        self.expect_answer(daemon, self.victim)

    def test_clients_that_never_read_are_cut_off(self):
        daemon = self.start("[server.limits]\nwrite_timeout_seconds = 1")
        admin = self.make_key("operator", "--scopes", "admin")
        silent = []
        for _ in range(2):
            client = socket.socket()
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
            client.connect(("127.0.0.1", daemon.port))
            self.addCleanup(client.close)
            body = json.dumps({"model": "small", "stream": True, "max_tokens": 3000, "messages": messages(STORY),
                               "logprobs": True, "top_logprobs": 20})
            client.sendall((f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {self.victim}\r\n"
                            f"Content-Length: {len(body)}\r\n\r\n{body}").encode())
            silent.append(client)
        self.assertTrue(until(lambda: len(daemon.executions(admin)) == 2))
        self.expect_answer(daemon, self.neighbour)
        self.assertTrue(until(lambda: not daemon.executions(admin), 60), "they hold their executions")

    def test_half_open_connections_are_closed_and_keep_nobody_out(self):
        daemon = self.start("[server.limits]\nheader_timeout_seconds = 2\nbody_timeout_seconds = 2\nmax_connections = 120")
        begun = [b"", b"POST /v1/chat/comple", b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{"]
        clients = [socket.create_connection(("127.0.0.1", daemon.port), timeout=30) for _ in range(90)]
        for number, client in enumerate(clients):
            self.addCleanup(client.close)
            client.sendall(begun[number % len(begun)])
        self.expect_answer(daemon, self.neighbour)
        for client in clients:
            while client.recv(4096):
                pass  # an answer of some kind, then the end

    def test_a_storm_of_reloads_breaks_no_stream(self):
        daemon = self.start()
        streams = [Stream(daemon, key, 80) for key in (self.victim, self.neighbour)]
        for _ in range(200):
            daemon.process.send_signal(signal.SIGHUP)
            time.sleep(0.005)
        for stream in streams:
            self.expect_whole(stream)
        self.expect_answer(daemon, self.victim)
        self.assertEqual(daemon.events("reload_failed"), [])

    def test_signals_that_come_while_it_reads_are_one_more_reload(self):
        daemon = self.start()
        config = self.folder / "symbiont.toml"
        few = config.read_text()
        many = "".join(f'[[slm.model_allow_lists.global_models]]\nid = "m{i}"\nname = "m{i}"\ncapabilities = ["TextGeneration"]\n'
                       f'provider = {{ LocalFile = {{ file_path = "/models/{i}.gguf" }} }}\n' for i in range(10_000))
        config.write_text(few.replace("[[slm", many + "[[slm", 1))
        for _ in range(100):
            daemon.process.send_signal(signal.SIGHUP)
            time.sleep(0.005)
        config.write_text(few)
        daemon.process.send_signal(signal.SIGHUP)

        def models():
            return [event["models"] for event in daemon.events("reloaded")]
        self.assertTrue(until(lambda: models() and models()[-1] == 2, 60), daemon.log)
        self.assertEqual(daemon.events("reload_failed"), [])
        self.assertLess(len(models()), 50)

    def test_without_descriptors_it_waits_and_goes_on(self):
        daemon = self.start(before=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)))
        kept = daemon.connect()
        kept.request("GET", "/healthz")
        kept.getresponse().read()
        self.expect_answer(daemon, self.neighbour)  # its worker is there
        clients = [socket.socket() for _ in range(100)]
        for client in clients:
            client.setblocking(False)
            client.connect_ex(("127.0.0.1", daemon.port))
        used = processor_seconds(daemon.process.pid)
        time.sleep(1)
        self.assertLess(processor_seconds(daemon.process.pid) - used, 0.5, "it spins")
        kept.request("GET", "/healthz")
        self.assertEqual(kept.getresponse().status, 200)
        for client in clients:
            client.close()
        self.assertTrue(until(lambda: daemon.chat("Hi", self.neighbour, max_tokens=2)[0] == 200))

    def test_a_full_disk_stops_no_answer(self):
        with open("/dev/full", "w", encoding="utf-8") as full:
            daemon = self.start(stderr=full)
            self.expect_answer(daemon, self.victim)
            self.expect_whole(Stream(daemon, self.victim, 20))
            self.assertEqual(daemon.stop(), 0)

    def test_a_log_that_nobody_reads_stops_no_answer(self):
        reader, writer = os.pipe()
        self.addCleanup(os.close, reader)
        with open(writer, "wb", buffering=0) as pipe:
            os.set_blocking(writer, False)
            while pipe.write(b" " * 4096):  # None once it is full
                pass
            os.set_blocking(writer, True)
            daemon = self.start(stderr=pipe)
            self.expect_answer(daemon, self.victim)
            self.expect_whole(Stream(daemon, self.victim, 20))
            self.assertEqual(daemon.stop(), 0)

    def test_a_clock_that_jumps_breaks_no_stream_and_ends_keys_in_time(self):
        clock = self.folder / "clock"
        clock.write_text("0")
        brief = self.make_key("neighbour", "--expires", "2d")
        daemon = self.start(environment={"LD_PRELOAD": CLOCK, "JUMPING_CLOCK": str(clock)})
        self.expect_answer(daemon, brief)
        stream = Stream(daemon, brief, 80)
        clock.write_text(str(3 * DAY))
        self.expect_whole(stream)
        self.assertEqual(daemon.chat("Hi", brief, max_tokens=2)[0], 401)
        self.expect_answer(daemon, self.victim)
        clock.write_text(str(-30 * DAY))
        self.expect_answer(daemon, brief)
        self.expect_whole(Stream(daemon, self.victim, 20))
        self.assertEqual(daemon.stop(), 0)

    def test_many_streams_at_once_lose_nothing(self):
        count = 200
        daemon = self.start("[server.limits]\nmax_queued = 1000\nmax_queued_per_agent = 1000\nmax_connections = 1000",
                            seconds=240)
        whole = []

        def ask(key):
            connection = daemon.connect(timeout=240)
            body = {"model": "small", "stream": True, "max_tokens": 3, "messages": messages("Hi")}
            connection.request("POST", "/v1/chat/completions", json.dumps(body), {"Authorization": f"Bearer {key}"})
            text = connection.getresponse().read().decode()
            connection.close()
            whole.append(text.rstrip().endswith("[DONE]") and '"error"' not in text)

        threads = [threading.Thread(target=ask, args=(key,)) for key in (self.victim, self.neighbour) * (count // 2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(whole.count(True), count, f"{whole.count(False)} broken")


def processor_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    unittest.main()
