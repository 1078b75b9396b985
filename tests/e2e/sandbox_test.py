"""`symbiont sandbox exec` and `symbiont sandbox proof`: exit codes, streams, reports, signals, nothing left behind."""

import json
import os
import pathlib
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
import unittest

BINARY = pathlib.Path(os.environ["SYMBIONT_BIN_DIR"]) / "symbiont"
PYTHON = ["/usr/bin/python3", "-I", "-S", "-c"]
MIB = 1 << 20


def sandbox(*arguments, stdin=b"", cwd="/", **environment):
    return subprocess.run([BINARY, "sandbox", *arguments], input=stdin, capture_output=True, timeout=120,
                          check=False, cwd=cwd, env={**os.environ, **environment})


class Case(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name).resolve()
        self.folder.chmod(0o755)
        self.report_file = self.folder / "report.json"

    def call(self, *arguments, code=0, **more):
        result = sandbox("exec", *arguments, **more)
        self.assertEqual(result.returncode, code, result.stderr)
        return result

    def report(self, *arguments, code=0, **more):
        result = self.call("--report", str(self.report_file), *arguments, code=code, **more)
        return json.loads(self.report_file.read_bytes()), result

    def start(self, *arguments):
        process = subprocess.Popen([BINARY, "sandbox", "exec", *arguments], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        return process


class Passing(Case):
    def test_exit_code_is_the_programs(self):
        for code in (0, 1, 3, 255):
            with self.subTest(code):
                self.assertEqual(self.call("--", "sh", "-c", f"exit {code}", code=code).stderr, b"")

    def test_a_signal_is_128_more_and_is_told(self):
        for number in (signal.SIGTERM, signal.SIGSEGV):
            with self.subTest(number):
                result = self.call(*PYTHON, f"import os; os.kill(os.getpid(), {int(number)})", code=128 + number)
                self.assertEqual(result.stderr, f"symbiont: ended by {number.name}\n".encode())

    def test_streams_pass_unchanged(self):
        data = os.urandom(MIB)
        self.assertEqual(self.call("cat", stdin=data).stdout, data)
        result = self.call(*PYTHON, "import os; os.write(1, b'out'); os.write(2, b'err')")
        self.assertEqual((result.stdout, result.stderr), (b"out", b"err"))

    def test_a_socket_that_leads_past_the_policy_is_refused(self):
        kinds = [(socket.AF_INET, socket.SOCK_STREAM), (socket.AF_INET, socket.SOCK_DGRAM), (socket.AF_INET6, socket.SOCK_STREAM),
                 (socket.AF_UNIX, socket.SOCK_DGRAM), (socket.AF_UNIX, socket.SOCK_STREAM)]
        for family, kind in kinds:
            with self.subTest(family=family, kind=kind), socket.socket(family, kind) as end:
                for name in ("stdin", "stdout", "stderr"):
                    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, name: end}
                    with subprocess.Popen([BINARY, "sandbox", "exec", "--report", self.report_file, "true"], **streams) as process:
                        process.communicate()
                    self.assertEqual(process.returncode, 2)
                    self.assertIn("is a socket that leads past", json.loads(self.report_file.read_bytes())["error"]["message"])
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.sendall(b"word")
            ours.shutdown(socket.SHUT_WR)
            passed = subprocess.run([BINARY, "sandbox", "exec", "cat"], stdin=theirs, capture_output=True, check=True)
        self.assertEqual(passed.stdout, b"word")

    def test_arguments_pass_unchanged(self):
        words = ["[a,b]", "{}", "", "--", "--help", "-q", "--read", "a=b", "\u00e9\n"]
        for before in ([], ["--"], ["-q", "--env", "A=b", "--"]):
            with self.subTest(before):
                result = self.call(*before, "printf", "%s|", *words)
                self.assertEqual(result.stdout.decode(), "".join(w + "|" for w in words))

    def test_nothing_of_the_environment_but_what_is_named(self):
        names = {line.split(b"=")[0] for line in self.call("env", SYMBIONT_MARK="1").stdout.splitlines()}
        self.assertNotIn(b"SYMBIONT_MARK", names)
        self.assertIn(b"PATH", names)
        result = self.call("--env", "SYMBIONT_MARK", "--env", "OTHER=a=b", "env", SYMBIONT_MARK="here")
        self.assertLessEqual({b"SYMBIONT_MARK=here", b"OTHER=a=b"}, set(result.stdout.splitlines()))

    def test_paths_are_readable_writable_or_hidden_as_asked(self):
        kept, out = self.folder / "kept", self.folder / "out"
        for folder in (kept, out):
            folder.mkdir()
        (kept / "open").write_text("open")
        (kept / "secret").write_text("secret")
        read = ["--read", str(kept), "--deny", str(kept / "secret")]
        self.assertEqual(self.call(*read, "cat", str(kept / "open")).stdout, b"open")
        self.call(*read, "cat", str(kept / "secret"), code=1)
        self.call(*read, "touch", str(kept / "new"), code=1)
        self.assertFalse((kept / "new").exists())
        # cgroup v1 does not count what the kernel writes back later: a degraded control there.
        self.call("--degraded", "--write", str(out), "--chdir", str(out), "touch", "new")
        self.assertTrue((out / "new").exists())
        self.call("cat", str(kept / "open"), code=1)

    def test_temporary_files_are_its_own(self):
        name = f"/tmp/symbiont-test-{os.getpid()}"
        self.call("--tmp", "touch", name)
        self.assertFalse(os.path.exists(name))
        self.call("touch", name, code=1)


    def test_a_folder_hidden_by_tmp_is_no_reason_to_fail(self):
        with tempfile.TemporaryDirectory(dir="/tmp") as here:
            self.assertIn(self.call("--tmp", "pwd", cwd=here).stdout, (b"/\n", b"/tmp\n"))


class Reports(Case):
    def test_success(self):
        report, result = self.report("true")
        self.assertEqual(result.stderr, b"")
        self.assertEqual(report["schema"], 1)
        self.assertEqual((report["command"], report["profile"]), (["true"], "secure"))
        self.assertEqual(report["verdict"], {"kind": "Exited", "exit_code": 0})
        self.assertEqual((report["exit_code"], report["signal"]), (0, None))
        self.assertEqual(report["resources"]["memory_limit_bytes"], 512 * MIB)
        self.assertGreater(report["resources"]["peak_memory_bytes"], 0)
        self.assertEqual(report["denials_dropped"], 0)
        self.assertEqual(report["connections"], [])
        self.assertLessEqual({"memory", "network", "syscalls", "filesystem"}, set(report["controls"]))
        self.assertNotIn("error", report)

    def test_file_is_private_and_alone(self):
        self.report_file.write_text("old")
        self.report_file.chmod(0o644)
        self.report("true")
        self.assertEqual(stat.S_IMODE(self.report_file.stat().st_mode), 0o600)
        self.assertEqual([p.name for p in self.folder.iterdir()], ["report.json"])

    def test_a_place_without_a_file_is_refused_before_the_start(self):
        for place in ("/dev/null", str(self.folder), str(self.folder / "no" / "file")):
            with self.subTest(place):
                result = self.call("--report", place, "echo", "ran", code=2)
                self.assertIn(place.encode(), result.stderr)
                self.assertEqual(result.stdout, b"")

    def test_failure_of_the_program(self):
        report, _ = self.report("sh", "-c", "exit 3", code=3)
        self.assertEqual(report["verdict"], {"kind": "Exited", "exit_code": 3})
        self.assertEqual((report["exit_code"], report["signal"]), (3, None))

    def check_limit(self, report, result, kind):
        self.assertEqual(report["verdict"]["kind"], kind, report)
        self.assertRegex(result.stderr.splitlines()[-1], rb"^symbiont: ")

    def test_memory_limit(self):
        report, result = self.report("--set", "resources.max_memory_mb=64", *PYTHON,
                                     "print(len(b'x' * (200 << 20)))", code=137)
        self.check_limit(report, result, "MemoryLimit")
        self.assertEqual((report["exit_code"], report["signal"]), (None, 9))
        self.assertEqual(report["verdict"]["limit_bytes"], 64 * MIB)
        self.assertEqual(result.stdout, b"")

    def test_time_limit(self):
        for program, number in ((["sleep", "60"], signal.SIGTERM),
                                (PYTHON + ["import signal, time\nsignal.signal(15, signal.SIG_IGN)\ntime.sleep(60)"],
                                 signal.SIGKILL)):
            with self.subTest(number):
                report, result = self.report("--timeout", "1s", *program, code=128 + number)
                self.check_limit(report, result, "TimeLimit")
                self.assertGreater(report["verdict"]["elapsed_ms"], 0)
                self.assertEqual(report["signal"], number)

    def test_disk_limit(self):
        report, result = self.report("--tmp", "--set", "resources.max_disk_mb=1", "dd", "if=/dev/zero", "of=/tmp/x",
                                     "bs=64k", "count=64", code=1)
        self.check_limit(report, result, "DiskLimit")
        self.assertEqual(report["exit_code"], 1)
        self.assertEqual(report["resources"]["scratch_limit_bytes"], MIB)

    def test_file_size_limit(self):
        report, result = self.report("--tmp", "--set", "filesystem.max_file_size_mb=1", "dd", "if=/dev/zero",
                                     "of=/tmp/x", "bs=64k", "count=64", code=128 + signal.SIGXFSZ)
        self.check_limit(report, result, "FileSizeLimit")

    PTRACE = "import ctypes, sys; sys.exit(5 if ctypes.CDLL(None).ptrace(0, 0, 0, 0) == -1 else 0)"

    def test_denied_system_call_kills_and_has_its_name(self):
        report, result = self.report(*PYTHON, self.PTRACE, code=128 + signal.SIGSYS)
        self.check_limit(report, result, "SyscallDenied")
        self.assertEqual(report["verdict"]["syscall"], "ptrace")
        self.assertIn(("syscall", "ptrace"), [(d["kind"], d["name"]) for d in report["denials"]])
        self.assertIn(b"ptrace", result.stderr)

    def test_denied_system_call_fails_when_not_strict(self):
        report, result = self.report("--set", "security.strict_syscall_filtering=false", *PYTHON, self.PTRACE, code=5)
        self.check_limit(report, result, "SyscallDenied")
        self.assertEqual((report["verdict"]["syscall"], report["exit_code"]), ("ptrace", 5))

    def test_denied_file(self):
        report, result = self.report("cat", "/etc/shadow", code=1)
        self.check_limit(report, result, "FsDenied")
        self.assertIn(("file", "/etc/shadow"), [(d["kind"], d["name"]) for d in report["denials"]])
        self.assertIn(b"/etc/shadow", result.stderr.splitlines()[-1])
        report, _ = self.report("--no-file-report", "cat", "/etc/shadow", code=1)
        self.assertNotIn("/etc/shadow", [d["name"] for d in report["denials"]])

    def test_denied_network(self):
        connect = "import socket; socket.create_connection(('127.0.0.1', 9), 5)"
        for strict, code in (("true", 128 + signal.SIGSYS), ("false", 1)):
            with self.subTest(strict=strict):
                report, result = self.report("--set", f"security.strict_syscall_filtering={strict}", *PYTHON, connect,
                                             code=code)
                self.check_limit(report, result, "NetDenied")
                self.assertIn("network", [d["kind"] for d in report["denials"]])

    def test_denied_process(self):
        fork = "import os\nif os.fork() == 0: os._exit(0)\nos.wait()"
        report, result = self.report(*PYTHON, fork, code=1)
        self.check_limit(report, result, "ProcessLimit")
        self.call("--set", "process_limits.max_child_processes=1", *PYTHON, fork)

    def test_a_fork_bomb_ends_and_says_which_limit(self):
        bomb = "import os\nwhile True: os.fork()"
        report, result = self.report("--set", "process_limits.max_child_processes=8", *PYTHON, bomb, code=1)
        self.check_limit(report, result, "ProcessLimit")
        self.assertIn("process", [d["kind"] for d in report["denials"]])

    # 100 threads in one process, of 32 allowed; no seccomp rule counts them, only the control group does.
    THREADS = ("import sys, threading\nend = threading.Event()\ntry:\n"
               "  for _ in range(100): threading.Thread(target=end.wait, daemon=True).start()\n"
               "except RuntimeError: code = {}\nelse: code = 0\nend.set()\nsys.exit(code)")

    def test_threads_that_the_control_group_refuses(self):
        report, _ = self.report("true")
        if "pids.max" not in report["controls"]["processes"]["mechanism"]:
            self.skipTest("this host has no control group that counts threads")
        report, result = self.report(*PYTHON, self.THREADS.format(6), code=6)
        self.check_limit(report, result, "ProcessLimit")
        self.assertIn(("process", "clone"), [(d["kind"], d["name"]) for d in report["denials"]])
        report, _ = self.report(*PYTHON, self.THREADS.format(0))
        self.assertEqual(report["verdict"]["kind"], "Exited", "it coped")
        self.assertIn("process", [d["kind"] for d in report["denials"]])

    def test_a_hostile_path_is_valid_json_and_one_harmless_line(self):
        path = os.fsencode(self.folder) + b"/\xff\"\n\x1b[31m"
        pathlib.Path(os.fsdecode(path)).write_text("hidden")
        report, result = self.report("cat", path, code=1)
        self.check_limit(report, result, "FsDenied")
        self.assertNotIn(b"\x1b", result.stderr.splitlines()[-1])
        self.assertIn(f"{self.folder}/\ufffd\"\n\x1b[31m", [d["name"] for d in report["denials"]])


class Refusals(Case):
    CONFIG = """
[slm.sandbox_profiles.tools.resources]
max_memory_mb = 96
[slm.sandbox_profiles.tools.filesystem]
read_paths = ["%s"]
"""

    def refused(self, *arguments, code, error, message):
        report, result = self.report(*arguments, "echo", "ran", code=code)
        self.assertEqual(result.stdout, b"")
        self.assertEqual(report["error"]["code"], error)
        self.assertIn(message, report["error"]["message"])
        self.assertIn(message.encode(), result.stderr)
        self.assertEqual(report["verdict"]["kind"], "SetupFailed")
        self.assertEqual((report["exit_code"], report["signal"]), (None, None))

    def test_a_start_that_fails_says_why_in_the_report_too(self):
        missing = str(self.folder / "missing")
        for option in ("--read", "--write"):
            with self.subTest(option):
                self.refused(option, missing, code=2, error="InvalidInput", message=missing)
        report, _ = self.report("no-such-program", code=2)
        self.assertIn("no-such-program", report["error"]["message"])

    def test_unknown_profile(self):
        config = self.folder / "symbiont.toml"
        config.write_text(self.CONFIG % self.folder)
        self.refused("--config", str(config), "--profile", "tols", code=3, error="SandboxProfileNotFound",
                     message="'tols'")
        self.assertIn(b"did you mean 'tools'", sandbox("exec", "--config", str(config), "--profile", "tols", "true").stderr)
        report, _ = self.report("--config", str(config), "--profile", "tools", "cat", str(config))
        self.assertEqual((report["profile"], report["resources"]["memory_limit_bytes"]), ("tools", 96 * MIB))

    def test_values_are_checked_as_in_the_configuration(self):
        for arguments, message in {
                ("--set", "resources.max_memory_mb"): "has no '='",
                ("--set", "resources.max_memry_mb=1"): "'resources.max_memry_mb'",
                ("--set", "resources.max_memory_mb=0"): "resources.max_memory_mb",
                ("--set", "resources.max_memory_mb=much"): "resources.max_memory_mb",
                ("--set", "filesystem.read_paths=[\"data\"]"): "filesystem.read_paths[0]",
                ("--set", "filesystem.read_paths=[data]"): "filesystem.read_paths",
                ("--set", "network.access_mode=Ful"): "network.access_mode",
                ("--set", "process_limits.allowed_syscalls=[\"raed\"]"): "'raed'",
                ("--net", "example.org"): "'example.org'",
                ("--net", "example.org:0"): "'example.org:0'",
                ("--net", "example.org:443/smtp"): "example.org:443/smtp",
                ("--net", "full", "--net", "example.org:443"): "--net full",
                ("--timeout", "500ms"): "'500ms'",
                ("--env", "SYMBIONT_NOT_SET"): "'SYMBIONT_NOT_SET'",
                ("--env", "=x"): "'=x'",
        }.items():
            with self.subTest(arguments):
                self.refused(*arguments, code=2, error="Usage", message=message)

    def test_calls_that_no_list_allows(self):
        for name, message in (("mount", "'mount' in allowed_syscalls: no list"), ("ptrace", "security.disable_debugging")):
            with self.subTest(name):
                self.refused("--set", f'process_limits.allowed_syscalls=["{name}"]', code=2, error="InvalidInput",
                             message=message)

    def test_no_program_and_unknown_options(self):
        self.assertIn(b"no program", self.call(code=2).stderr)
        self.assertIn(b"did you mean '--read'", self.call("--raed", "/tmp", "true", code=2).stderr)

    def test_full_network_is_said_aloud(self):
        self.assertIn(b"FULL NETWORK", self.call("--net", "full", "true").stderr)
        self.assertEqual(self.call("--net", "full", "--quiet", "true").stderr, b"")


def arguments_of(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[:-1]
    except OSError:
        return []


def processes_with(word):
    return [int(p.name) for p in pathlib.Path("/proc").iterdir() if p.name.isdigit() and word in arguments_of(p.name)
            and int(p.name) != os.getpid()]


def groups_of(pid):
    """Folders of the control groups made for `pid`."""
    folders = []
    for line in pathlib.Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if "symbiont-" not in path:
            continue
        for place in ([c.removeprefix("name=") for c in controllers.split(",")] if controllers else ["", "unified"]):
            folder = pathlib.Path("/sys/fs/cgroup") / place / path.lstrip("/")
            if folder.is_dir():
                folders.append(folder)
    return folders


def until(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


class Signals(Case):
    # os.write: a print() is not to be interrupted by a handler that prints.
    TRAP = ("import os, signal, time\n"
            "signal.signal({0}, lambda *_: os._exit(7))\nos.write(1, b'ready\\n')\ntime.sleep(60)")

    def test_signals_reach_the_program(self):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
            with self.subTest(number):
                process = self.start(*PYTHON, self.TRAP.format(int(number)))
                self.assertEqual(process.stdout.readline(), b"ready\n")
                process.send_signal(number)
                self.assertEqual(process.wait(60), 7)

    def test_second_interrupt_kills(self):
        process = self.start("--report", str(self.report_file), *PYTHON,
                             "import os, signal, time\nsignal.signal(2, lambda *_: os.write(1, b'asked\\n'))\n"
                             "os.write(1, b'ready\\n')\nwhile True: time.sleep(60)")
        self.assertEqual(process.stdout.readline(), b"ready\n")
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.stdout.readline(), b"asked\n")
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(60), 137)
        self.assertEqual(json.loads(self.report_file.read_bytes())["verdict"]["kind"], "Killed")

    def test_nothing_is_left_when_it_is_killed(self):
        mark = f"60.{os.getpid()}"
        process = self.start("--set", "process_limits.max_child_processes=2", "sh", "-c",
                             f"sleep {mark} & sleep {mark}; true")
        self.assertTrue(until(lambda: len(processes_with(mark.encode())) == 2))
        inside = processes_with(mark.encode())
        groups = [folder for pid in inside for folder in groups_of(pid)]
        process.kill()
        process.wait(60)
        self.assertTrue(until(lambda: not processes_with(mark.encode())), processes_with(mark.encode()))
        self.assertTrue(until(lambda: not any(folder.exists() for folder in groups)), groups)


class Proof(Case):
    def test_everything_holds(self):
        result = sandbox("proof")
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        self.assertIn(b"seccomp", result.stdout)

    def test_json_agrees(self):
        result = sandbox("proof", "--tmp", "--json", "--", "/bin/sleep", "60")
        proof = json.loads(result.stdout)
        self.assertEqual(result.returncode, 0, result.stdout)
        self.assertIs(proof["ok"], True)
        self.assertEqual(proof["command"], ["/bin/sleep", "60"])
        self.assertGreater(len(proof["proof"]), 5)
        for item in proof["proof"]:
            with self.subTest(item["name"]):
                self.assertIs(item["ok"], True)
                self.assertEqual(set(item), {"name", "expected", "found", "ok"})

    def test_a_start_that_fails_is_one_object(self):
        result = sandbox("proof", "--json", "--read", "/no/such/place")
        self.assertEqual(result.returncode, 2)
        self.assertIn("/no/such/place", json.loads(result.stdout)["error"]["message"])


class Help(unittest.TestCase):
    def test_every_help_has_examples(self):
        for command in ([], ["exec"], ["proof"]):
            with self.subTest(command):
                result = sandbox(*command, "--help")
                self.assertEqual(result.returncode, 0)
                self.assertIn(b"Examples:", result.stdout)

    def test_bash_completes(self):
        script = subprocess.run([BINARY, "completions", "bash"], capture_output=True, text=True, check=True).stdout
        script += ('COMP_WORDS=(symbiont sandbox exec --re); COMP_CWORD=3; _symbiont\n'
                   'printf "%s\\n" "${COMPREPLY[@]}"\n')
        result = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
        self.assertEqual(set(result.stdout.split()), {"--read", "--report"})


def skip_without_controls():
    probe = sandbox("proof", "--json")
    if probe.returncode != 8:
        return
    print("skipped: this host cannot enforce the secure profile:", probe.stderr.decode(errors="replace"))
    sys.exit(1 if os.environ.get("SYMBIONT_REQUIRE") == "all" else 77)


if __name__ == "__main__":
    skip_without_controls()
    unittest.main()
