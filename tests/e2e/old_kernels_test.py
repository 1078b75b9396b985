"""Older kernels, simulated by hiding the system calls they do not have: a program or worker is held as everywhere or not started,
with words that say why, and `doctor` knows which. Nothing ever runs with less than was said.

Needs: SYMBIONT_BIN_DIR and SYMBIONT_HIDE_CALLS (the program that hides calls).
"""

import json
import os
import pathlib
import subprocess
import tempfile
import unittest

SYMBIONT = pathlib.Path(os.environ["SYMBIONT_BIN_DIR"]) / "symbiont"
HIDE = os.environ["SYMBIONT_HIDE_CALLS"]

# What came with which kernel. "start" of a program with the default policy: as always, degraded in words, or refused.
LANDLOCK = "landlock_create_ruleset,landlock_add_rule,landlock_restrict_self"
WORKS, DEGRADED, REFUSED = "works", "degraded", "refused"
CASES = [
    ("clone3", WORKS),             # 5.3
    ("pidfd_open", WORKS),         # 5.3
    ("openat2", REFUSED),          # 5.6
    ("pidfd_getfd", WORKS),        # 5.6; the proof of a worker needs it, that of a program not
    ("close_range", REFUSED),      # 5.9
    ("mount_setattr", REFUSED),    # 5.12
    (LANDLOCK, DEGRADED),          # 5.13
    ("open_tree,move_mount", REFUSED),  # 5.2
    ("seccomp", REFUSED),          # 3.17
    (f"clone3,pidfd_open,openat2,pidfd_getfd,close_range,mount_setattr,open_tree,move_mount,{LANDLOCK}", REFUSED),
]


def symbiont(hidden, *arguments):
    return subprocess.run([HIDE, hidden, SYMBIONT, *arguments], capture_output=True, text=True, timeout=60, check=False)


class OldKernels(unittest.TestCase):
    def test_a_program_is_held_or_not_started(self):
        with tempfile.NamedTemporaryFile("w", dir="/var/tmp") as secret:
            os.chmod(secret.name, 0o644)
            secret.write("treasure")
            secret.flush()
            for hidden, expected in CASES:
                with self.subTest(hidden=hidden):
                    result = symbiont(hidden, "sandbox", "exec", "--", "/bin/cat", secret.name)
                    self.assertNotIn("treasure", result.stdout)
                    self.assertNotEqual(result.returncode, 0)
                    if expected == REFUSED:
                        self.refuses(hidden)
                        continue
                    result = symbiont(hidden, "sandbox", "exec", "--", "/bin/echo", "hello")
                    self.assertEqual((result.returncode, result.stdout), (0, "hello\n"), result.stderr)
                    self.assertEqual("landlock is enforced in part only" in result.stderr, expected == DEGRADED)

    def refuses(self, hidden):
        """Every time, with the step that failed: pid 1 and the program's process fail side by side."""
        for _ in range(10):
            result = symbiont(hidden, "sandbox", "exec", "--", "/bin/echo", "hello")
            self.assertEqual(result.stdout, "")
            self.assertRegex(result.stderr, r"error: .*: Function not implemented")
            self.assertIn("symbiont doctor", result.stderr)

    def test_doctor_says_what_a_worker_does(self):
        for hidden, _ in CASES:
            with self.subTest(hidden=hidden):
                result = symbiont(hidden, "doctor", "--json")
                report = json.loads(result.stdout)
                self.assertEqual(result.returncode, 0 if report["default_profile_enforceable"] else 8)
                started = symbiont(hidden, "run", "--model", os.environ["SYMBIONT_TEST_MODEL"], "--max-tokens", "1", "Hi")
                self.assertEqual(started.returncode == 0, report["default_profile_enforceable"], started.stderr)
                self.assertEqual(started.returncode == 0, report["trial"]["works"], report["trial"])
                in_full = all(control["state"] == "Enforced" for control in report["controls"].values())
                said = symbiont(hidden, "doctor").stdout
                self.assertEqual("enforced in full" in said, in_full and report["trial"]["works"], said)


if __name__ == "__main__":
    unittest.main()
