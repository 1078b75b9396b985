"""What one agent can learn of another's prompts on a worker that they share: by how long an answer takes to begin, and by what
is said of cached tokens."""

import json
import pathlib
import tempfile
import time
import unittest

from serve_daemon import MODEL, Daemon, key_command

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


if __name__ == "__main__":
    unittest.main()
