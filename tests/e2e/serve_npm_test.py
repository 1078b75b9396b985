"""The gateway with the real model, called by npm's openai package."""

import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

from serve_daemon import CACHE, CONFIG, MODEL, Daemon, key_command, pinned_version

SCRIPT = pathlib.Path(__file__).with_name("openai_client.cjs")


def node_modules():
    """What scripts/bootstrap test leaves in the cache; None when it, or node, is not there."""
    modules = CACHE / f"symbiont/openai-npm-{pinned_version('OPENAI_NPM')}/node_modules"
    if shutil.which("node") and modules.is_dir():
        return modules
    reason = "no node, or no openai package of npm; scripts/bootstrap test installs them"
    if os.environ.get("SYMBIONT_REQUIRE") == "all":
        raise AssertionError(reason)
    raise unittest.SkipTest(reason)


class NpmOpenAI(unittest.TestCase):
    """One run of one program; its agent may use "small" only."""

    @classmethod
    def setUpClass(cls):
        modules = node_modules()
        temporary = tempfile.TemporaryDirectory()
        cls.addClassCleanup(temporary.cleanup)
        folder = pathlib.Path(temporary.name)
        keys = str(folder / "keys.json")
        key = key_command("new", "--keys", keys, "--agent", "reader").strip()
        config = folder / "symbiont.toml"
        config.write_text(CONFIG % {"model": MODEL, "server": f'keys_file = "{keys}"'})
        daemon = Daemon("--config", str(config))
        cls.addClassCleanup(daemon.stop)
        done = subprocess.run(["node", SCRIPT, f"http://127.0.0.1:{daemon.port}/v1", key, "small"],
                              capture_output=True, text=True, timeout=120, check=False,
                              env={**os.environ, "NODE_PATH": str(modules)})
        if done.returncode != 0:
            raise AssertionError(done.stderr)
        cls.got = json.loads(done.stdout)

    def test_lists_the_models_of_its_key(self):
        self.assertEqual(self.got["models"], ["small"])

    def test_answers(self):
        whole = self.got["whole"]
        self.assertIn("Paris", whole["text"])
        self.assertIn(whole["finish"], {"stop", "length"})
        self.assertGreater(whole["usage"]["completion_tokens"], 0)

    def test_a_stream_says_the_same(self):
        whole, streamed = self.got["whole"], self.got["streamed"]
        self.assertGreater(streamed["chunks"], 2)
        self.assertEqual((streamed["text"], streamed["finish"]), (whole["text"], whole["finish"]))
        for count in ("prompt_tokens", "completion_tokens", "total_tokens"):
            self.assertEqual(streamed["usage"][count], whole["usage"][count])

    def test_errors_have_the_classes_of_the_package(self):
        for got, expected in {
                "wrongKey": ("AuthenticationError", 401, "authentication_error", "invalid_api_key"),
                "wrongModel": ("NotFoundError", 404, "invalid_request_error", "model_not_found"),
                "wrongValue": ("BadRequestError", 400, "invalid_request_error", "invalid_value")}.items():
            with self.subTest(got):
                self.assertEqual(tuple(self.got[got].values()), expected)


if __name__ == "__main__":
    unittest.main()
