"""The gateway against its own description: requests made from docs/openapi.json, right ones and wrong ones.

SYMBIONT_SCHEMA_EXAMPLES=N asks for that many cases an operation (`scripts/test` takes the few below);
SYMBIONT_SCHEMA_REQUESTS=N fails unless at least that many requests were answered.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

from serve_daemon import CONFIG, MODEL, ROOT, Daemon, client_package, key_command, until

EXAMPLES = int(os.environ.get("SYMBIONT_SCHEMA_EXAMPLES", "6"))
REQUESTS = int(os.environ.get("SYMBIONT_SCHEMA_REQUESTS", "300"))
SEED = 1
CHECKS = ("not_a_server_error", "status_code_conformance", "content_type_conformance",
          "response_schema_conformance", "negative_data_rejection", "positive_data_acceptance",
          "unsupported_method")
DOCUMENT = (ROOT / "docs/openapi.json").resolve()


class Schema(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        temporary = tempfile.TemporaryDirectory()
        cls.addClassCleanup(temporary.cleanup)
        cls.folder = pathlib.Path(temporary.name)
        keys = str(cls.folder / "keys.json")
        cls.key = key_command("new", "--keys", keys, "--agent", "reader",
                              "--scopes", "inference,read,admin").strip()
        config = cls.folder / "symbiont.toml"
        able = CONFIG.replace('["TextGeneration"]', '["TextGeneration", "Embeddings"]')
        config.write_text(able % {"model": MODEL, "server": f'keys_file = "{keys}"'})
        cls.daemon = Daemon("--config", str(config))
        cls.addClassCleanup(cls.daemon.stop)

    def answered(self):
        return len(self.daemon.events("request"))

    def test_serves_the_document_that_is_shipped(self):
        status, _, text = self.daemon.call("GET", "/openapi.json", key=self.key)
        self.assertEqual((status, text), (200, DOCUMENT.read_text()))
        self.assertEqual(self.daemon.call("GET", "/openapi.json")[0], 401)

    def test_what_is_refused_is_refused_as_described(self):
        for path, methods in json.loads(DOCUMENT.read_text())["paths"].items():
            for method, operation in methods.items():
                if "refused" in operation["tags"]:
                    with self.subTest(path):
                        status, _, text = self.daemon.call(method.upper(), path, "{}", self.key)
                        self.assertEqual((status, list(json.loads(text))), (501, ["error"]))

    def test_keeps_to_its_description_and_answers_afterwards(self):
        if client_package("schemathesis") is None:
            self.skipTest("no schemathesis package")
        package = pathlib.Path(sys.modules["schemathesis"].__file__).parents[1]
        before = self.answered()
        command = [sys.executable, "-B", "-m", "schemathesis.cli", "run", str(DOCUMENT),
                   "--url", f"http://127.0.0.1:{self.daemon.port}",
                   "--header", f"Authorization: Bearer {self.key}",
                   "--exclude-tag", "refused", "--phases", "coverage,fuzzing", "--checks", ",".join(CHECKS),
                   "--max-examples", str(EXAMPLES), "--seed", str(SEED), "--generation-database", "none",
                   "--continue-on-failure", "--no-shrink", "--request-timeout", "60",
                   "--generation-allow-x00", "false", "--suppress-health-check", "all", "--warnings", "off", "--no-color"]
        # Its own cache and hypothesis' stay out of the tree.
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=self.folder,
                              env={**os.environ, "SCHEMATHESIS_HOOKS": "schemathesis_hooks",
                                   "PYTHONPATH": f"{package}:{pathlib.Path(__file__).parent}"})
        print(done.stdout[-3000:])
        self.assertEqual(done.returncode, 0, done.stdout[-20000:] + done.stderr[-3000:])
        enough = until(lambda: self.answered() - before >= REQUESTS)
        print(f"{self.answered() - before} requests")
        self.assertTrue(enough, f"fewer than {REQUESTS} requests were answered")
        status, _, text = self.daemon.chat("What is the capital of France?", self.key, max_tokens=16)
        self.assertEqual(status, 200)
        self.assertIn("Paris", text)
        self.assertEqual(self.daemon.executions(self.key), [])


if __name__ == "__main__":
    unittest.main()
