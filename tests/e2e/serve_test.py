"""The gateway with the real model, over real connections: answers, errors, keys, signals."""

import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time
import unittest

from cli_test import descendants, is_running
from serve_daemon import BINARY, CONFIG, MODEL, Daemon, client_package, key_command, messages, until

LONG = {"prompt": "Tell me a very long story about the sea.", "max_tokens": 2000}


class Folder(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.temporary.cleanup)
        cls.folder = pathlib.Path(cls.temporary.name)
        cls.keys = str(cls.folder / "keys.json")

    @classmethod
    def make_key(cls, agent, *more):
        return key_command("new", "--keys", cls.keys, "--agent", agent, *more).strip()

    @classmethod
    def write_config(cls, server="", model=MODEL):
        path = cls.folder / "symbiont.toml"
        path.write_text(CONFIG % {"model": model, "server": server})
        return str(path)


class WithoutKeys(Folder):
    """One daemon for all tests here; nothing in them changes it."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.daemon = Daemon("--config", cls.write_config("[server.limits]\nmax_body_bytes = 20000"))
        cls.addClassCleanup(cls.daemon.stop)

    def test_answers(self):
        status, headers, text = self.daemon.chat("What is the capital of France?", max_tokens=16)
        self.assertEqual(status, 200, text)
        answer = json.loads(text)
        self.assertIn("Paris", answer["choices"][0]["message"]["content"])
        self.assertIn(answer["choices"][0]["finish_reason"], {"stop", "length"})
        usage = answer["usage"]
        self.assertEqual(usage["total_tokens"], usage["prompt_tokens"] + usage["completion_tokens"])
        self.assertGreater(usage["prompt_tokens"], 5)
        self.assertTrue(headers["x-execution-id"].startswith("exec-"))

        def told():
            return [e for e in self.daemon.events("execution") if e["execution_id"] == headers["x-execution-id"]]

        self.assertTrue(until(told), self.daemon.log)
        self.assertEqual(len(told()), 1)
        self.assertEqual((told()[0]["agent"], told()[0]["completion_tokens"]), ("default", usage["completion_tokens"]))
        self.assertNotIn("France", json.dumps(self.daemon.log))

    def test_a_stream_says_the_same_as_a_whole_answer(self):
        whole = json.loads(self.daemon.chat("Count to five.", max_tokens=12, seed=1)[2])
        status, headers, text = self.daemon.chat("Count to five.", max_tokens=12, seed=1, stream=True,
                                                 stream_options={"include_usage": True})
        self.assertEqual(status, 200)
        self.assertIn("text/event-stream", headers["content-type"])
        events = [line[6:] for line in text.split("\n\n") if line]
        self.assertEqual(events[-1], "[DONE]")
        chunks = [json.loads(event) for event in events[:-1]]
        words = [c["choices"][0]["delta"].get("content", "") for c in chunks if c["choices"]]
        self.assertEqual("".join(words), whole["choices"][0]["message"]["content"])
        self.assertEqual(chunks[-1]["usage"]["completion_tokens"], whole["usage"]["completion_tokens"])
        self.assertEqual(len({c["id"] for c in chunks}), 1)

    def test_completions_and_choices(self):
        status, _, text = self.daemon.call("POST", "/v1/completions", {
            "model": "small", "prompt": "One, two, three,", "max_tokens": 4, "n": 2})
        self.assertEqual(status, 200, text)
        self.assertEqual([c["index"] for c in json.loads(text)["choices"]], [0, 1])

    def test_models_are_the_agents_own(self):
        listed = json.loads(self.daemon.call("GET", "/v1/models")[2])
        self.assertEqual([m["id"] for m in listed["data"]], ["small"])
        self.assertEqual(self.daemon.call("GET", "/v1/models/small")[0], 200)
        foreign = self.daemon.call("GET", "/v1/models/other")
        absent = self.daemon.call("GET", "/v1/models/absen")
        self.assertEqual((foreign[0], foreign[2].replace("other", "absen")), (404, absent[2]))

    def test_errors(self):
        ask = {"model": "small", "messages": [{"role": "user", "content": "Hi"}]}
        for body, status, param, code in (
                ("{", 400, None, "invalid_json"),
                ("[]", 400, None, "invalid_json"),
                ({**ask, "temprature": 1}, 400, "temprature", "unknown_parameter"),
                ({**ask, "temperature": 7}, 400, "temperature", "invalid_value"),
                ({**ask, "messages": "Hi"}, 400, "messages", "invalid_type"),
                ({**ask, "model": None}, 400, "model", "missing_required_parameter"),
                ({**ask, "model": "other"}, 404, "model", "model_not_found"),
                ({**ask, "model": "absent"}, 404, "model", "model_not_found"),
                ({**ask, "messages": [{"role": "user", "content": "x " * 9000}]}, 400, None,
                 "context_length_exceeded"),
                ({**ask, "user": "x" * 30000}, 413, None, "request_too_large")):
            with self.subTest(code=code, param=param):
                got, _, text = self.daemon.call("POST", "/v1/chat/completions", body)
                self.assertEqual(got, status, text)
                error = json.loads(text)["error"]
                self.assertEqual(set(error), {"message", "type", "param", "code"})
                self.assertEqual(error["code"], code)
                if param:
                    self.assertEqual(error["param"], param)
                self.assertNotIn("/", error["message"].replace("HTTP/1", ""))
        self.assertEqual(self.daemon.call("GET", "/v1/nothing")[0], 404)
        status, headers, _ = self.daemon.call("DELETE", "/v1/models")
        self.assertEqual((status, headers["allow"]), (405, "GET"))

    def test_other_hosts_and_origins_are_refused(self):
        self.assertEqual(self.daemon.call("GET", "/v1/models", headers={"Host": "evil.example"})[0], 403)
        self.assertEqual(self.daemon.call("GET", "/v1/models", headers={"Origin": "https://evil.example"})[0], 403)

    def test_administration_needs_more_than_being_local(self):
        self.assertEqual(self.daemon.call("GET", "/admin/executions")[0], 403)
        self.assertEqual(self.daemon.call("POST", "/admin/reload")[0], 403)

    def test_probes_and_metrics(self):
        self.assertEqual(self.daemon.call("GET", "/healthz")[0], 200)
        self.assertEqual(self.daemon.call("GET", "/readyz")[0], 200)
        self.daemon.chat("Hi", max_tokens=2)
        text = self.daemon.call("GET", "/metrics")[2]
        self.assertRegex(text, r'symbiont_executions_total\{agent="default",model="small",outcome="ok"\} \d')
        self.assertIn("symbiont_time_to_first_token_seconds_bucket", text)

    def test_curl(self):
        line = re.search(r"curl .*", self.daemon.text)
        self.assertIsNotNone(line, self.daemon.text)
        command = self.daemon.text[line.start():].replace('"Hello"}]', '"Hello"}], "max_tokens": 2')
        result = subprocess.run(["sh", "-c", command + " --silent --show-error"], capture_output=True, text=True,
                                timeout=120, check=False)
        self.assertIn('"chat.completion"', result.stdout, result.stderr)

    def test_the_openai_package(self):
        openai = client_package("openai")
        if openai is None:
            self.skipTest("no openai package")
        client = openai.OpenAI(base_url=f"http://127.0.0.1:{self.daemon.port}/v1", api_key="none")
        ask = messages("What is the capital of France?")
        whole = client.chat.completions.create(model="small", messages=ask, temperature=0, max_tokens=16)
        self.assertIn("Paris", whole.choices[0].message.content)
        stream = client.chat.completions.create(model="small", messages=ask, temperature=0, max_tokens=16,
                                                stream=True)
        text = "".join(chunk.choices[0].delta.content or "" for chunk in stream)
        self.assertEqual(text, whole.choices[0].message.content)
        self.assertEqual([m.id for m in client.models.list()], ["small"])
        with self.assertRaises(openai.NotFoundError):
            client.chat.completions.create(model="other", messages=ask)
        with self.assertRaises(openai.BadRequestError) as raised:
            client.chat.completions.create(model="small", messages=ask, temperature=9)
        self.assertEqual(raised.exception.param, "temperature")


class WithKeys(Folder):
    def setUp(self):
        self.admin = self.make_key("root", "--scopes", "admin")
        self.reader = self.make_key("reader", "--expires", "1d")
        self.daemon = Daemon("--config", self.write_config(f'keys_file = "{self.keys}"'))
        self.addCleanup(self.daemon.stop)

    def test_keys(self):
        self.assertEqual(self.daemon.chat("Hi", max_tokens=2)[0], 401)
        self.assertEqual(self.daemon.chat("Hi", key="sym-wrong", max_tokens=2)[0], 401)
        self.assertEqual(self.daemon.chat("Hi", key=self.reader, max_tokens=2)[0], 200)
        self.assertEqual(self.daemon.chat("Hi", key=self.admin, max_tokens=2)[0], 403)
        short = self.make_key("reader", "--expires", "1s")
        self.assertTrue(until(lambda: self.daemon.call("GET", "/v1/models", key=short)[0] == 401, 5))
        listed = json.loads(key_command("list", "--keys", self.keys, "--json"))
        mine = [k for k in listed if k["agent"] == "reader" and k["expires"] - k["created"] == 86400][-1]
        self.assertNotIn(self.reader, pathlib.Path(self.keys).read_text())
        key_command("revoke", "--keys", self.keys, mine["id"])
        self.assertEqual(self.daemon.call("GET", "/v1/models", key=self.reader)[0], 401)

    def test_a_client_that_leaves_frees_its_slot(self):
        for stream in (False, True):
            with self.subTest(stream=stream):
                connection = self.daemon.connect()
                body = {"model": "small", "stream": stream, "max_tokens": LONG["max_tokens"],
                        "messages": [{"role": "user", "content": LONG["prompt"]}]}
                connection.request("POST", "/v1/chat/completions", json.dumps(body),
                                   {"Authorization": f"Bearer {self.reader}"})
                self.assertTrue(until(lambda: [e["state"] for e in self.daemon.executions(self.admin)] == ["running"]))
                connection.close()
                self.assertTrue(until(lambda: self.daemon.executions(self.admin) == []))

    def test_cancels_by_id(self):
        connection = self.daemon.connect()
        body = {"model": "small", "max_tokens": LONG["max_tokens"],
                "messages": [{"role": "user", "content": LONG["prompt"]}]}
        connection.request("POST", "/v1/chat/completions", json.dumps(body), {"x-api-key": self.reader})
        self.assertTrue(until(lambda: len(self.daemon.executions(self.admin)) == 1))
        execution = self.daemon.executions(self.admin)[0]
        self.assertEqual((execution["agent"], execution["model"]), ("reader", "small"))
        path = "/admin/executions/" + execution["execution_id"]
        self.assertEqual(self.daemon.call("DELETE", path, key=self.reader)[0], 403)
        self.assertEqual(self.daemon.call("DELETE", path, key=self.admin)[0], 200)
        self.assertEqual(connection.getresponse().status, 503)

    def test_reload_takes_all_or_nothing(self):
        config = self.folder / "symbiont.toml"
        good = config.read_text()
        config.write_text(good.replace('"reader" = ["small"]', '"reader" = ["small", "other"]'))
        self.daemon.process.send_signal(signal.SIGHUP)
        self.assertTrue(until(lambda: self.daemon.call("GET", "/v1/models/other", key=self.reader)[0] == 200))
        config.write_text("nonsense = [")
        self.assertEqual(self.daemon.call("POST", "/admin/reload", key=self.admin)[0], 400)
        self.assertTrue(until(lambda: len(self.daemon.events("reload_failed")) == 1), self.daemon.log)
        self.assertEqual(self.daemon.call("GET", "/v1/models/other", key=self.reader)[0], 200)
        config.write_text(good)
        self.assertEqual(self.daemon.call("POST", "/admin/reload", key=self.admin)[0], 200)
        self.assertEqual(self.daemon.call("GET", "/v1/models/other", key=self.reader)[0], 404)


class Processes(Folder):
    def start(self, *arguments):
        daemon = Daemon("--model", MODEL, "--listen", "127.0.0.1:0", *arguments)
        self.addCleanup(daemon.stop)
        return daemon

    def chat(self, daemon, **more):
        model = json.loads(daemon.call("GET", "/v1/models")[2])["data"][0]["id"]
        return daemon.chat("Hi", model=model, **more)

    def test_idle_workers_count_with_what_they_hold(self):
        # The limits of two, 512 MiB each, do not fit; what an idle one holds and the limit of a busy one do.
        path = pathlib.Path(self.write_config("[server.limits]\nmemory_budget_mb = 900"))
        path.write_text(path.read_text().replace('"default" = ["small"]', '"default" = ["small", "other"]'))
        daemon = Daemon("--config", str(path))
        self.addCleanup(daemon.stop)

        def workers():
            names = [pathlib.Path(f"/proc/{pid}/comm").read_text() for pid in descendants(daemon.process.pid)]
            return names.count("symbiont-worker\n")

        for model, warm in (("small", 1), ("other", 2), ("small", 2)):
            self.assertEqual(daemon.chat("Hi", max_tokens=1, model=model)[0], 200)
            self.assertEqual(workers(), warm)

    def test_a_model_file_is_enough(self):
        daemon = self.start()
        status, _, text = self.chat(daemon, max_tokens=2)
        self.assertEqual(status, 200, text)
        self.assertNotIn("/", json.loads(text)["model"])

    def test_a_file_that_is_no_model_is_refused_at_the_start(self):
        for path, words in ((BINARY, "not a GGUF file"), (self.folder / "none.gguf", "does not exist")):
            with self.subTest(path=path):
                result = subprocess.run([BINARY, "serve", "--model", path, "--listen", "127.0.0.1:0"], capture_output=True,
                                        text=True, timeout=60, check=False)
                self.assertEqual(result.returncode, 5, result.stderr)
                self.assertIn(words, result.stderr)

    def test_ends_at_once_when_idle(self):
        daemon = self.start()
        self.assertEqual(self.chat(daemon, max_tokens=2)[0], 200)
        idle = daemon.connect()
        idle.request("GET", "/healthz")
        idle.getresponse().read()  # and the connection stays
        children = descendants(daemon.process.pid)
        self.assertTrue(children)
        start = time.monotonic()
        self.assertEqual(daemon.stop(), 0)
        self.assertLess(time.monotonic() - start, 5)
        self.assertTrue(until(lambda: not any(is_running(child) for child in children)))

    def test_lets_an_answer_end_before_it_ends(self):
        daemon = self.start()
        connection = daemon.connect()
        model = json.loads(daemon.call("GET", "/v1/models")[2])["data"][0]["id"]
        body = {"model": model, "stream": True, "max_tokens": 40,
                "messages": [{"role": "user", "content": LONG["prompt"]}]}
        connection.request("POST", "/v1/chat/completions", json.dumps(body))
        response = connection.getresponse()
        response.readline()
        daemon.process.send_signal(signal.SIGTERM)
        self.assertIn(b"[DONE]", response.read())
        self.assertEqual(daemon.process.wait(timeout=60), 0)

    def test_a_drain_is_bounded_and_a_second_signal_ends_it(self):
        for arguments, signals, code in ((("--drain-seconds", "0"), 1, 0), ((), 2, 128 + signal.SIGTERM)):
            with self.subTest(signals=signals):
                daemon = self.start(*arguments)
                connection = daemon.connect()
                model = json.loads(daemon.call("GET", "/v1/models")[2])["data"][0]["id"]
                body = {"model": model, "stream": True, "max_tokens": LONG["max_tokens"],
                        "messages": [{"role": "user", "content": LONG["prompt"]}]}
                connection.request("POST", "/v1/chat/completions", json.dumps(body))
                connection.getresponse().readline()
                children = descendants(daemon.process.pid)
                for _ in range(signals):
                    daemon.process.send_signal(signal.SIGTERM)
                    until(lambda d=daemon: d.events("draining"))
                self.assertEqual(daemon.process.wait(timeout=60), code)
                self.assertTrue(until(lambda: not any(is_running(child) for child in children)))

    def test_killed_it_leaves_nothing(self):
        daemon = self.start()
        self.assertEqual(self.chat(daemon, max_tokens=2)[0], 200)
        children = descendants(daemon.process.pid)
        self.assertTrue(children)
        daemon.process.kill()
        daemon.process.wait()
        self.assertTrue(until(lambda: not any(is_running(child) for child in children)))

    def test_a_unix_socket(self):
        path = self.folder / "api.sock"
        daemon = Daemon("--config", self.write_config(
            f'[server.unix_agents]\n"{os.geteuid()}" = "reader"'), "--unix", str(path))
        self.addCleanup(daemon.stop)
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
            client.sendall(b"GET /v1/models HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            self.assertIn(b'"small"', client.makefile("rb").read())
        self.assertEqual(path.stat().st_mode & 0o777, 0o660)
        daemon.stop()
        self.assertFalse(path.exists())

    def make_certificate(self, name):
        """A self-signed certificate for 127.0.0.1 and its key: their paths."""
        certificate, private = self.folder / f"{name}.pem", self.folder / f"{name}-key.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                        "-keyout", private, "-out", certificate, "-days", "2", "-subj", f"/CN={name}", "-addext",
                        "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
        return certificate, private

    def tls_daemon(self, certificate, private):
        """A daemon, its port, and a function that connects trusting one certificate only."""
        daemon = Daemon("--config", self.write_config(
            f'[server.tls]\ncertificate_file = "{certificate}"\nprivate_key_file = "{private}"'))
        self.addCleanup(daemon.stop)
        port = int(re.search(r"https://127\.0\.0\.1:(\d+)", daemon.text)[1])
        return daemon, lambda trusted: http.client.HTTPSConnection(
            "127.0.0.1", port, timeout=60, context=ssl.create_default_context(cafile=trusted))

    def assert_streams(self, connection):
        body = {"model": "small", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 3, "stream": True}
        connection.request("POST", "/v1/chat/completions", json.dumps(body))
        self.assertIn(b"[DONE]", connection.getresponse().read())

    def test_tls(self):
        certificate, private = self.make_certificate("localhost")
        _, connect = self.tls_daemon(certificate, private)
        connection = connect(certificate)
        for _ in range(2):
            self.assert_streams(connection)

    def test_a_renewed_certificate_is_taken_over_without_dropping_a_connection(self):
        certificate, private = self.make_certificate("old")
        old = shutil.copy(certificate, self.folder / "copy-of-old.pem")
        daemon, connect = self.tls_daemon(certificate, private)
        before = connect(old)
        self.assert_streams(before)
        new, new_private = self.make_certificate("new")
        os.replace(new_private, private)
        os.replace(shutil.copy(new, self.folder / "next.pem"), certificate)
        daemon.process.send_signal(signal.SIGHUP)
        self.assertTrue(until(lambda: daemon.events("reloaded")), daemon.log)
        self.assert_streams(connect(new))
        with self.assertRaises(ssl.SSLCertVerificationError):
            connect(old).connect()
        self.assert_streams(before)

    def test_a_certificate_without_its_key_changes_nothing(self):
        certificate, private = self.make_certificate("old")
        daemon, connect = self.tls_daemon(certificate, private)
        old = shutil.copy(certificate, self.folder / "copy-of-old.pem")
        os.replace(self.make_certificate("new")[0], certificate)
        daemon.process.send_signal(signal.SIGHUP)
        self.assertTrue(until(lambda: daemon.events("reload_failed")), daemon.log)
        self.assertIn(private.name, daemon.events("reload_failed")[0]["message"])
        self.assert_streams(connect(old))

    def test_refuses_to_be_open_to_the_network(self):
        result = subprocess.run([BINARY, "serve", "--model", MODEL, "--listen", "0.0.0.0:0"], capture_output=True,
                                text=True, timeout=60, check=False)
        self.assertEqual(result.returncode, 3, result.stderr)
        self.assertIn("symbiont key new", result.stderr)

    def test_a_slow_request_does_not_hold_a_connection(self):
        daemon = Daemon("--config", self.write_config("[server.limits]\nheader_timeout_seconds = 1"))
        self.addCleanup(daemon.stop)
        with socket.create_connection(("127.0.0.1", daemon.port), timeout=30) as client:
            client.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHo")
            self.assertIn(b" 408 ", client.makefile("rb").read())


if __name__ == "__main__":
    unittest.main()
