"""What one agent can learn of another's prompts on a worker that they share: by how long an answer takes to begin, and by what
is said of cached tokens; and that an execution with a worker of its own gets a fresh one."""

import json
import pathlib
import tempfile
import time
import unittest

from cli_test import descendants
from serve_daemon import MODEL, Daemon, key_command, until

CONFIG = """
[slm]
[[slm.model_allow_lists.global_models]]
id = "small"
name = "Small"
provider = { LocalFile = { file_path = "%(model)s" } }
capabilities = ["TextGeneration"]
isolation = "shared"
[server]
listen = "127.0.0.1:0"
keys_file = "%(keys)s"
"""
SECRET = "The secret plans say: " + " ".join(f"step {number} follows step {number * 7 % 101}," for number in range(120))
OWN_TEMPLATE = 50  # tokens that every conversation begins with: its own earlier one left them
TELLS_APART = 3  # a prompt that is remembered begins at least so many times sooner


class SharedWorker(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        folder = pathlib.Path(temporary.name)
        keys = folder / "keys.json"
        self.key = {agent: key_command("new", "--keys", keys, "--agent", agent).strip() for agent in ("owner", "curious")}
        config = folder / "symbiont.toml"
        config.write_text(CONFIG % {"model": MODEL, "keys": keys})
        self.daemon = Daemon("--config", str(config))
        self.addCleanup(self.daemon.stop)
        self.ask("curious", "Hi")  # the worker is there, and knows the agent

    def ask(self, agent, prompt):
        """(seconds to the first text, cached tokens) of one question."""
        body = {"model": "small", "stream": True, "max_tokens": 1, "messages": [{"role": "user", "content": prompt}],
                "stream_options": {"include_usage": True}}
        connection = self.daemon.connect()
        begin = time.monotonic()
        connection.request("POST", "/v1/chat/completions", json.dumps(body), {"Authorization": f"Bearer {self.key[agent]}"})
        response = connection.getresponse()
        taken = cached = None
        for line in response:
            if not line.startswith(b"data: {"):
                continue
            event = json.loads(line[6:])
            if taken is None and event["choices"] and event["choices"][0]["delta"].get("content"):
                taken = time.monotonic() - begin
            if event.get("usage"):
                cached = event["usage"].get("prompt_tokens_details", {}).get("cached_tokens", 0)
        connection.close()
        self.assertIsNotNone(taken)
        return taken, cached

    def test_a_guess_at_anothers_prompt_is_as_slow_as_any(self):
        self.ask("owner", SECRET)
        own, own_cached = self.ask("owner", SECRET)
        other, other_cached = self.ask("curious", SECRET)
        again, _ = self.ask("curious", SECRET)
        self.assertGreater(own_cached, 500, "nothing was remembered: the test shows nothing")
        self.assertLess(other_cached, OWN_TEMPLATE)
        self.assertGreater(other, own * TELLS_APART)
        self.assertGreater(other, again * TELLS_APART, "its own is remembered")


class WorkerOfItsOwn(unittest.TestCase):
    """isolation = "request": each execution has a worker that nobody used, which usually stands ready."""

    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        config = pathlib.Path(temporary.name) / "symbiont.toml"
        config.write_text(CONFIG.replace('"shared"', '"request"').replace('keys_file = "%(keys)s"', "") % {"model": MODEL})
        self.daemon = Daemon("--config", str(config))
        self.addCleanup(self.daemon.stop)

    def workers(self):
        """The confined processes that run; the first process of a tree bears the same name before it starts one."""
        found = set()
        for pid in descendants(self.daemon.process.pid):
            try:
                if "symbiont-worker" in pathlib.Path(f"/proc/{pid}/cmdline").read_text():
                    found.add(pid)
            except OSError:
                pass  # it has ended
        return found

    def ask(self):
        """The log's line of one execution."""
        count = len(self.daemon.events("execution"))
        self.assertEqual(self.daemon.chat(SECRET[:300], max_tokens=2)[0], 200)
        self.assertTrue(until(lambda: len(self.daemon.events("execution")) > count))
        return self.daemon.events("execution")[-1]

    def test_the_next_one_is_fresh_and_stands_ready(self):
        self.assertGreater(self.ask()["load_ms"], 0)
        self.assertTrue(until(self.workers))
        for _ in range(3):
            before = self.workers()
            self.assertEqual(len(before), 1)
            self.assertTrue(until(self.is_idle))
            execution = self.ask()
            self.assertEqual(execution["load_ms"], 0)
            self.assertEqual(execution["cached_tokens"], 0)
            self.assertTrue(until(lambda used=before: self.workers() and not self.workers() & used), "the used one has ended")

    def is_idle(self):
        """Whether the worker has loaded and waits: its processor time stands still."""
        def used():
            return [pathlib.Path(f"/proc/{pid}/schedstat").read_text().split()[0] for pid in self.workers()]
        before = used()
        time.sleep(0.1)
        return before == used()

    def test_one_that_is_being_started_holds_nothing_up(self):
        self.ask()
        begin = time.monotonic()
        self.assertEqual(self.daemon.stop(), 0)
        self.assertLess(time.monotonic() - begin, 5)


if __name__ == "__main__":
    unittest.main()
