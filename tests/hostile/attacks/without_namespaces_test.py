"""The attacks once more where no namespace can be made, as in many containers: a degraded start, held by Landlock, system call
filters, limits and an identity of its own. What succeeds then is in the list below and nowhere else.

Needs: SYMBIONT_ATTACK, SYMBIONT_BIN_DIR, SYMBIONT_WITHOUT_NAMESPACES (the program that takes namespaces away), and root.
"""

import os
import pathlib
import subprocess
import sys
import unittest

import arena as arenas
from attack_table import CASES, Case
from confinement import Symbiont, profile_of, toml

PROGRAM = os.environ.get("SYMBIONT_ATTACK", "")
SYMBIONT = pathlib.Path(os.environ.get("SYMBIONT_BIN_DIR", "")) / "symbiont"
WITHOUT = os.environ.get("SYMBIONT_WITHOUT_NAMESPACES", "")
REQUIRE_ALL = os.environ.get("SYMBIONT_REQUIRE") == "all"
FIRST_IDENTITY = 2_000_000_000  # identities of ours begin here
MIN_BLOCKED = 130  # of the table's cases: fewer, and the mode was not tried

# What succeeds, and which control of the report says so (SECURITY.md explains each).
HELD_BY_MOUNTS_ALONE = {"execute_by_loader": "filesystem", "map_written_code": "filesystem"}
HELD_BY_GROUPS_ALONE = {"memory_of_children": "memory", "socket_buffers": "memory", "processors": "cpu"}
NO_SUCCESS = {"signal_everyone"}  # kill(-1, 0) answers 0 when there is nobody it may signal
KNOWN = HELD_BY_MOUNTS_ALONE | HELD_BY_GROUPS_ALONE


class WithoutNamespaces(Symbiont):
    """`symbiont sandbox exec --degraded` in such a container."""

    name = "symbiont without namespaces"

    def command(self, case, arena, argv):
        command = [WITHOUT, self.program, "sandbox", "exec", "--degraded", "--report", str(arena.base / "report.json")]
        for field, value in possible_profile(case, arena).items():
            command += ["--set", f"{field}={toml(field, value)}"]
        return [*command, "--", *argv]


def needs_mounts(case):
    return any(word in str((case.args, case.name)) for word in ("denied", "vault", "/proc"))


def possible_profile(case, arena):
    """The case's, without what would be refused, unless the case is about that."""
    profile = profile_of(case, arena)
    if not needs_mounts(case):
        profile["filesystem.denied_paths"] = []
        profile["filesystem.read_paths"] = [path for path in profile["filesystem.read_paths"] if path != "/proc"]
    return profile


def attempt(case):
    """The result, the profile, and which processes of the attack are left."""
    with arenas.Arena(PROGRAM, confined=True) as arena:
        result = arenas.run(case, arena, WithoutNamespaces(SYMBIONT))
        return result, possible_profile(case, arena), processes_of(arena)


def processes_of(arena):
    left = []
    for entry in pathlib.Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and entry.stat().st_uid >= FIRST_IDENTITY:
                command = (entry / "cmdline").read_bytes().decode(errors="replace")
                left += [command] if arena.words["program"] in command else []
        except OSError:
            continue  # it ended meanwhile
    return left


class WithoutNamespacesTest(unittest.TestCase):
    blocked = 0

    def check_refusal(self, result, profile):
        """Only what a namespace alone could hold is refused."""
        needs = (profile["filesystem.denied_paths"] or profile["network.access_mode"] == "Restricted"
                 or "/proc" in profile["filesystem.read_paths"])
        self.assertTrue(needs, str(result))
        self.assertIn("takes a", result.report["error"]["message"])

    def check_run(self, case, result):
        controls = result.report["controls"]
        self.assertEqual(controls["filesystem"]["state"], "Degraded", str(controls))
        if result.succeeded and case.name not in NO_SUCCESS:
            self.assertIn(case.name, KNOWN, f"it succeeded: {result}")
            self.assertNotEqual(controls[KNOWN[case.name]]["state"], "Enforced", str(controls))
            return
        WithoutNamespacesTest.blocked += not result.not_applicable

    def test_an_honest_program_runs(self):
        result, _, _ = attempt(Case("probe"))
        self.assertEqual((result.returncode, result.report["verdict"]["kind"]), (0, "Exited"), str(result))

    def test_no_attack_succeeds_but_those_that_are_told(self):
        for case in CASES:
            if case.needs and not os.path.exists(case.needs):
                continue
            with self.subTest(case.name):
                result, profile, left = attempt(case)
                if case.name == "survive_the_launcher":
                    self.assertFalse(result.succeeded, str(result))
                    continue
                self.assertIsNotNone(result.report, str(result))
                if case.verdict == ("SetupFailed",):
                    self.assertEqual(result.report["error"]["code"], "InvalidInput")  # refused anywhere
                elif result.report.get("error"):
                    self.check_refusal(result, profile)
                else:
                    self.check_run(case, result)
                self.assertEqual(left, [])
        self.assertGreaterEqual(self.blocked, MIN_BLOCKED)


class EndOfATree(unittest.TestCase):
    """Everything is in a pid namespace of its own: if it went wrong, only what is in there would be killed."""

    def in_a_pid_namespace(self, script):
        launch = f"{WITHOUT} {SYMBIONT} sandbox exec --degraded --set process_limits.max_execution_time_seconds=1 --set process_limits.max_child_processes=8 -- "
        command = ["unshare", "--pid", "--fork", "--mount-proc", "setpriv", *script[0], "sh", "-c", script[1].replace("SANDBOX", launch)]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    def test_nobody_else_is_killed(self):
        # With these bits a change of identity would leave its capabilities to who kills all it may.
        for bits in ([], ["--securebits=+no_setuid_fixup"]):
            with self.subTest(bits=bits):
                result = self.in_a_pid_namespace((bits, """
                    sleep 1000 & other=$!
                    SANDBOX sh -c 'setsid sleep 1000 & sleep 1000'
                    kill -0 $other && echo "the other lives"
                    test "$(grep -lsx sleep /proc/[0-9]*/comm | wc -l)" = 1 && echo "the tree is gone" """))
                self.assertEqual(result.stdout, "the other lives\nthe tree is gone\n", result.stderr)
                self.assertIn("time limit", result.stderr.lower())


def what_is_lacking():
    if os.geteuid() != 0:
        return "an ordinary user cannot start programs in this mode"
    result, _, _ = attempt(Case("probe"))
    message = (result.report or {}).get("error", {}).get("message", "")
    return "Landlock of version 3" if "no Landlock of version 3" in message else ""


def main():
    if lacking := what_is_lacking():
        print(f"skipped: {lacking}")
        return 1 if REQUIRE_ALL else 77
    return 0 if unittest.main(argv=sys.argv[:1], exit=False).result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main())
