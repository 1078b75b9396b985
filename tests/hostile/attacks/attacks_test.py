"""Every attack of the table succeeds unconfined, and fails under a profile with a report that says why.

Needs: SYMBIONT_ATTACK (the attack program) and SYMBIONT_BIN_DIR. The unconfined half of many attacks needs root.
usage: attacks_test.py [NAME...]     only these attacks
"""

import json
import os
import pathlib
import subprocess
import sys
import unittest

import arena as arenas
from attack_table import CASES, HELPERS, Case
from confinement import Symbiont, Unconfined

PROGRAM = os.environ.get("SYMBIONT_ATTACK", "")
SYMBIONT = pathlib.Path(os.environ.get("SYMBIONT_BIN_DIR", "")) / "symbiont"
# So many attacks have to succeed unconfined, or the suite proves too little. The rest may lack what they attack.
REAL_AS_ROOT = 150
REAL_AS_ORDINARY_USER = 100
REQUIRE_ALL = os.environ.get("SYMBIONT_REQUIRE") == "all"


def attempt(case, tool):
    with arenas.Arena(PROGRAM, confined=not tool.is_open) as arena:
        result = arenas.run(case, arena, tool)
        # Filled while the words still mean something.
        return result, arena.fill(case.denial)


def held_by(result, control, mechanism):
    return result.report is not None and mechanism in result.report["controls"][control].get("mechanism", "")


class AttackTest(unittest.TestCase):
    """One test for each half of each case; they are added below."""

    real = set()  # the attacks that were seen to succeed unconfined

    def lack(self, case, why):
        """The host has nothing to attack: allowed where the table says so."""
        if REQUIRE_ALL and not (case.optional or case.needs):
            self.fail(f"not applicable, and the table does not allow that: {why}")
        self.skipTest(why)

    def check_host(self, case):
        if case.needs and not os.path.exists(case.needs):
            self.lack(case, f"no {case.needs}")

    def succeed_unconfined(self, case):
        self.check_host(case)
        if case.root and os.geteuid() != 0:
            self.skipTest("only root succeeds unconfined")
        result, _ = attempt(case, Unconfined())
        if not result.succeeded and (result.not_applicable or case.optional):
            self.lack(case, str(result))
        self.assertTrue(result.succeeded, f"proves nothing, for it fails unconfined: {result}")
        self.real.add(case.name)

    def fail_confined(self, case):
        self.check_host(case)
        result, denial = attempt(case, Symbiont(SYMBIONT))
        if result.succeeded and case.held and not held_by(result, *case.held):
            self.skipTest(f"this host does not hold it by {case.held}, and SECURITY.md says what then")
        self.assertFalse(result.succeeded, f"it succeeded: {result}")
        self.assertNotIn("unknown attack", result.stderr)
        if result.not_applicable:
            self.lack(case, str(result))
        if case.name == "survive_the_launcher":
            return  # its launcher was killed and reports nothing
        self.assertFalse(result.timed_out, f"it had to be ended by the test: {result}")
        self.assertIsNotNone(result.report, f"no report: {result}")
        self.check_verdict(case, result)
        self.check_denial(result, denial)

    def check_verdict(self, case, result):
        kind = result.report["verdict"]["kind"]
        error = result.report.get("error", {})
        if error.get("code") == "ControlUnavailable":
            if REQUIRE_ALL:
                self.fail(f"this host cannot enforce the profile: {result}")
            self.skipTest(f"nothing was started: {error['message']}")
        right = case.verdict
        if "MemoryLimit" in right and not held_by(result, "memory", "cgroup"):
            right += ("Exited",)  # without a control group the program is refused memory, and ends as it likes
        if "ProcessLimit" in right and not held_by(result, "processes", "pids.max"):
            right += ("Exited", "MemoryLimit")  # nothing else tells that the kernel refused a thread
        self.assertIn(kind, right, str(result))

    def check_denial(self, result, denial):
        if not denial:
            return
        kind, _, name = denial.partition(":")
        found = [one for one in result.report["denials"] if one["kind"] == kind and name in ("", one["name"])]
        self.assertTrue(found, f"no denial '{denial}': {result}")

    def die_in_strict_mode(self, case):
        self.check_host(case)
        result, _ = attempt(case, Symbiont(SYMBIONT, strict=True))
        self.assertFalse(result.succeeded, f"it succeeded: {result}")
        self.assertNotIn("unknown attack", result.stderr)
        if result.not_applicable:
            self.lack(case, str(result))
        self.assertIsNotNone(result.report, f"no report: {result}")
        verdict = result.report["verdict"]
        self.assertEqual((verdict["kind"], verdict.get("syscall")), ("SyscallDenied", case.syscall), str(result))
        self.assertNotEqual(result.report.get("signal"), None, f"it was not killed: {result}")

    def test_the_table_has_every_attack(self):
        listed = json.loads(subprocess.run([PROGRAM, "--list"], check=True, stdout=subprocess.PIPE).stdout)
        areas = {one["name"]: one["area"] for one in listed if one["name"] not in HELPERS}
        self.assertEqual({case.name: case.area for case in CASES}, areas)

    def test_the_page_names_every_attack(self):
        page = (pathlib.Path(__file__).resolve().parents[3] / "docs/attacks.md").read_text(encoding="utf-8")
        self.assertEqual([case.name for case in CASES if f"`{case.name}`" not in page], [])

    def test_an_honest_program_runs(self):
        result, _ = attempt(Case("probe"), Symbiont(SYMBIONT))
        self.assertEqual(result.returncode, 0, str(result))
        self.assertEqual(result.report["verdict"]["kind"], "Exited", str(result))
        self.assertEqual(result.report["denials"], [], str(result))


def add_tests(names):
    for case in CASES:
        if names and case.name not in names:
            continue
        halves = [("1_succeeds_unconfined", AttackTest.succeed_unconfined), ("2_fails_confined", AttackTest.fail_confined)]
        if case.syscall:
            halves.append(("3_dies_in_strict_mode", AttackTest.die_in_strict_mode))
        for suffix, half in halves:
            setattr(AttackTest, f"test_{case.area}_{case.name}_{suffix}",
                    lambda self, half=half, case=case: half(self, case))


def what_is_lacking():
    for program in (PROGRAM, SYMBIONT):
        if not os.access(program, os.X_OK):
            return f"'{program}' has to be a program"
    if subprocess.run([SYMBIONT, "sandbox", "exec", "--help"], check=False, capture_output=True).returncode != 0:
        return f"{SYMBIONT} has no 'sandbox exec'"
    return ""


def main():
    add_tests(sys.argv[1:])
    lacking = what_is_lacking()
    if lacking:
        print(f"skipped: {lacking}")
        return 1 if REQUIRE_ALL else 77
    loaded = unittest.defaultTestLoader.loadTestsFromTestCase(AttackTest)
    outcome = unittest.TextTestRunner(verbosity=1).run(loaded)
    for test, reason in outcome.skipped:
        print(f"skipped {test.id().rpartition('.')[2]}: {reason}")
    floor = 0 if sys.argv[1:] else REAL_AS_ROOT if os.geteuid() == 0 else REAL_AS_ORDINARY_USER
    print(f"{len(AttackTest.real)} of {len(CASES)} attacks succeeded unconfined; at least {floor} have to")
    return 0 if outcome.wasSuccessful() and len(AttackTest.real) >= floor else 1


if __name__ == "__main__":
    sys.exit(main())
