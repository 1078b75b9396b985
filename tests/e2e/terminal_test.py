"""The program on a pseudo-terminal: colour, progress, and a conversation that Ctrl-C does not end."""

import os
import pathlib
import pty
import re
import resource
import select
import shutil
import signal
import subprocess
import tempfile
import termios
import time
import unittest

BINARY = pathlib.Path(os.environ["SYMBIONT_BIN_DIR"]) / "symbiont"
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
MODEL = os.environ.get("SYMBIONT_TEST_MODEL") or str(
    CACHE / "symbiont/models/SmolLM2-135M-Instruct.Q4_1.gguf")
WAIT_SECONDS = 30


def as_a_job(start):
    """What a shell does for `start`, which execs: a job in front, and once it stopped, a line continues it."""
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    job = os.fork()
    if job == 0:
        os.setpgid(0, 0)
        os.tcsetpgrp(0, os.getpid())
        signal.signal(signal.SIGTTOU, signal.SIG_DFL)
        start()
    _, status = os.waitpid(job, os.WUNTRACED)
    if os.WIFSTOPPED(status):
        os.tcsetpgrp(0, os.getpgrp())
        os.write(1, b"[stopped]\n")
        os.read(0, 100)
        os.tcsetpgrp(0, job)
        os.killpg(job, signal.SIGCONT)
        _, status = os.waitpid(job, 0)
    os._exit(os.waitstatus_to_exitcode(status) & 0xFF)


class Terminal:
    """A child on a terminal of its own; what it prints is collected in `seen`."""

    def __init__(self, *arguments, binary=BINARY, wrap=lambda start: start(), **environment):
        kept = {k: v for k, v in os.environ.items() if k != "NO_COLOR"}
        environment = {**kept, "TERM": "xterm", **environment}
        self.seen = b""
        self.status = None
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            for ignored_in_background in (signal.SIGINT, signal.SIGQUIT, signal.SIGTSTP):
                signal.signal(ignored_in_background, signal.SIG_DFL)
            try:
                wrap(lambda: os.execve(binary, [str(binary), *arguments], environment))
            finally:
                os._exit(127)

    def pump(self, seconds):
        """Reads what comes within `seconds`; False at the end."""
        if not select.select([self.fd], [], [], seconds)[0]:
            return True
        try:
            piece = os.read(self.fd, 65536)
        except OSError:
            piece = b""
        self.seen += piece
        return bool(piece)

    def expect(self, text):
        """Waits for `text`, returns what came up to it and forgets that."""
        deadline = time.monotonic() + WAIT_SECONDS
        while text not in self.seen:
            if time.monotonic() > deadline or not self.pump(0.2):
                raise AssertionError(f"{text!r} did not come; seen: {self.seen!r}")
        before, _, self.seen = self.seen.partition(text)
        return before + text

    def type(self, text):
        os.write(self.fd, text)

    def mode(self):
        return termios.tcgetattr(self.fd)

    def finish(self):
        """Reads to the end; returns the exit code and the rest."""
        deadline = time.monotonic() + WAIT_SECONDS
        while self.pump(0.2) and time.monotonic() < deadline:
            pass
        while time.monotonic() < deadline:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid != 0:
                self.status = os.waitstatus_to_exitcode(status)
                return self.status, self.seen
            time.sleep(0.02)
        raise AssertionError(f"it did not end; seen: {self.seen!r}")

    def expect_more_than(self, count):
        """Waits until more than `count` bytes have come that nobody asked for yet."""
        deadline = time.monotonic() + WAIT_SECONDS
        while len(self.seen) <= count:
            if time.monotonic() > deadline or not self.pump(0.2):
                raise AssertionError(f"no more came; seen: {self.seen!r}")

    def close(self):
        if self.status is None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.fd)


class TerminalCase(unittest.TestCase):
    def open(self, *arguments, **environment):
        terminal = Terminal(*arguments, **environment)
        self.addCleanup(terminal.close)
        return terminal


class Colour(TerminalCase):
    def test_errors_are_coloured_on_a_terminal(self):
        code, text = self.open("run", "--bogus").finish()
        self.assertEqual(code, 2)
        self.assertIn(b"\x1b[31;1merror:\x1b[0m", text)

    def test_no_color_and_dumb_terminals_get_none(self):
        for environment in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
            with self.subTest(environment):
                _, text = self.open("run", "--bogus", **environment).finish()
                self.assertIn(b"error: ", text)
                self.assertNotIn(b"\x1b", text)

    def test_a_run_without_prompt_says_what_to_do(self):
        code, text = self.open("run", "--model", MODEL, NO_COLOR="1").finish()
        self.assertEqual(code, 2)
        self.assertIn(b"hint: symbiont run --model", text)


class Progress(TerminalCase):
    """Loads that last until the test says so: the launcher waits for a file before it does anything."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        folder = pathlib.Path(folder.name)
        self.binary = folder / BINARY.name
        self.go_on = folder / "go-on"
        for name in (BINARY.name, "symbiont-worker"):
            shutil.copy2(BINARY.parent / name, folder / name)
        launcher = folder / "symbiont-launcher"
        launcher.write_text(f"#!/bin/sh\nPATH=/usr/bin:/bin\nuntil [ -e '{self.go_on}' ]; do sleep 0.02; done\n"
                            f"exec '{BINARY.parent / launcher.name}' \"$@\"\n")
        launcher.chmod(0o755)

    def arguments(self):
        return ("run", "--model", MODEL, "--max-tokens", "8", "--seed", "1", "Name a river.")

    def test_a_slow_load_shows_its_progress_until_the_answer_comes(self):
        terminal = self.open(*self.arguments(), binary=self.binary, NO_COLOR="1")
        shown = terminal.expect(b"\rloading model  [") + terminal.expect(b" s")
        self.assertRegex(shown, rb"\rloading model  \[#*\.*\] +\d+%  \d+\.\d s")
        self.go_on.touch()
        code, rest = terminal.finish()
        self.assertEqual(code, 0)
        # The line is blanked out and nothing of it comes after that.
        self.assertRegex(rest, re.compile(rb"\r {20,}\r(?!.*loading model).*\w", re.DOTALL))

    def test_no_progress_in_a_pipe_nor_when_quiet(self):
        pipe = subprocess.Popen([self.binary, *self.arguments()], stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.addCleanup(pipe.wait)
        self.addCleanup(pipe.kill)
        quiet = self.open(*self.arguments(), "--quiet", binary=self.binary)
        # The last to start shows its line: the others had the time to.
        terminal = self.open(*self.arguments(), binary=self.binary)
        terminal.expect(b"loading model")
        self.go_on.touch()
        code, text = quiet.finish()
        self.assertEqual(code, 0)
        self.assertNotIn(b"loading", text)
        text, _ = pipe.communicate(timeout=WAIT_SECONDS)
        self.assertEqual(pipe.returncode, 0)
        self.assertNotIn(b"loading", text)
        self.assertEqual(terminal.finish()[0], 0)


class Chat(TerminalCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.state = pathlib.Path(folder.name)

    def start(self, *arguments, **more):
        return self.open("chat", "--model", MODEL, *arguments, NO_COLOR="1",
                         XDG_STATE_HOME=str(self.state), **more)

    def chat(self, *arguments, **more):
        terminal = self.start(*arguments, **more)
        terminal.expect(b"> ")
        return terminal

    def leave(self, terminal):
        terminal.type(b"/quit\r")
        self.assertEqual(terminal.finish()[0], 0)

    def test_ctrl_c_stops_the_answer_and_ctrl_d_ends(self):
        # Greedy, and the same conversation each time: the answer is known to be long.
        terminal = self.chat("--max-tokens", "4000", "--timeout", "100s", "--temperature", "0",
                             "--system", "You are a helpful assistant.")
        for _ in range(2):  # the second time shows that the first one left all in order
            terminal.type(b"Write a very long story about the sea.\r")
            terminal.expect(b"sea.\r\n")
            terminal.expect_more_than(40)
            terminal.type(b"\x03")
            terminal.expect(b"(stopped)")
            terminal.expect(b"> ")
            terminal.type(b"/reset\r")
            terminal.expect(b"forgotten)\r\n> ")
        terminal.type(b"\x04")
        self.assertEqual(terminal.finish()[0], 0)

    def test_ctrl_c_drops_the_line(self):
        terminal = self.chat()
        terminal.type(b"/no-such")
        terminal.expect(b"/no-such")
        terminal.type(b"\x03")
        terminal.expect(b"> ")
        terminal.type(b"/help\r")
        text = terminal.expect(b"/quit")
        self.assertNotIn(b"there is no command", text)
        self.leave(terminal)

    def test_ctrl_c_drops_what_came_before_it_and_nothing_else(self):
        terminal = self.chat()
        terminal.type(b"/no-such\x03/help\r")
        text = terminal.expect(b"/quit")
        self.assertNotIn(b"there is no command", text)
        self.leave(terminal)

    def test_a_signal_from_elsewhere_drops_the_line(self):
        terminal = self.chat()
        terminal.type(b"/no-such")
        terminal.expect(b"/no-such")
        os.kill(terminal.pid, signal.SIGINT)
        terminal.expect(b"> ")
        self.leave(terminal)

    def test_ctrl_z_gives_the_terminal_back_until_it_goes_on(self):
        terminal = self.chat(wrap=as_a_job)
        prompt = terminal.mode()
        terminal.type(b"/he\x1a")
        terminal.expect(b"[stopped]")
        usual = termios.ICANON | termios.ECHO | termios.ISIG
        self.assertEqual(terminal.mode()[3] & usual, usual)
        terminal.type(b"fg\r")
        terminal.expect(b"> /he")
        self.assertEqual(terminal.mode(), prompt)
        terminal.type(b"lp\r")
        terminal.expect(b"/quit")
        self.leave(terminal)

    def test_quit_ends_it_with_the_terminal_given_back(self):
        def without_core(start):
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            start()
        terminal = self.chat(wrap=without_core)
        terminal.type(b"\x1c")
        self.assertEqual(terminal.finish()[0], -signal.SIGQUIT)
        usual = termios.ICANON | termios.ECHO | termios.ISIG
        self.assertEqual(terminal.mode()[3] & usual, usual)

    def test_history_is_kept_for_the_owner_alone(self):
        terminal = self.chat()
        terminal.type(b"/system Be brief.\r")
        terminal.expect(b"(instructions set)")
        terminal.type(b"\x04")
        terminal.finish()
        history = self.state / "symbiont" / "chat_history"
        self.assertEqual(history.stat().st_mode & 0o777, 0o600)
        terminal = self.chat()
        terminal.type(b"\x1b[A\r")  # up: the line of the other session
        terminal.expect(b"(instructions set)")
        terminal.type(b"\x04")
        self.assertEqual(terminal.finish()[0], 0)

    def test_a_line_of_the_history_is_found(self):
        terminal = self.chat()
        terminal.type(b"/system Be brief.\r")
        terminal.expect(b"(instructions set)")
        terminal.expect(b"> ")
        terminal.type(b"/help\r")
        terminal.expect(b"> ")
        terminal.type(b"\x12brief\r")  # Ctrl-R
        terminal.expect(b"(instructions set)")
        self.leave(terminal)

    def test_backspace_takes_a_character_not_a_byte(self):
        terminal = self.chat()
        terminal.type("/helpö\x7f\r".encode())
        terminal.expect(b"/quit")
        self.leave(terminal)

    def test_a_line_may_be_wider_than_the_terminal(self):
        terminal = self.chat()
        terminal.type(b"/" + b"x" * 300 + b"\r")
        terminal.expect(b"there is no command '/" + b"x" * 300 + b"'")
        self.leave(terminal)

    def test_ctrl_d_typed_ahead_ends_it(self):
        terminal = self.chat("--max-tokens", "20", "--seed", "1")
        terminal.type(b"Name a river.\r\x04")
        self.assertEqual(terminal.finish()[0], 0)

    def test_ctrl_d_during_an_answer_ends_it(self):
        terminal = self.chat("--max-tokens", "40", "--temperature", "0", "--system", "You are a helpful assistant.")
        terminal.type(b"Write a very long story about the sea.\r")
        terminal.expect(b"sea.\r\n")
        terminal.expect_more_than(0)
        terminal.type(b"\x04")
        self.assertEqual(terminal.finish()[0], 0)

    def test_ctrl_d_before_the_prompt_ends_it(self):
        terminal = self.start()
        terminal.type(b"\x04")
        self.assertEqual(terminal.finish()[0], 0)

    def test_the_terminal_is_given_back_at_the_end(self):
        master, slave = os.openpty()
        before = termios.tcgetattr(master)  # as every new one has it
        os.close(master)
        os.close(slave)
        for end in (b"\x04", b"/quit\r", signal.SIGTERM, signal.SIGHUP):
            with self.subTest(end):
                terminal = self.chat()
                self.assertNotEqual(terminal.mode(), before)
                if isinstance(end, bytes):
                    terminal.type(end)
                else:
                    os.kill(terminal.pid, end)
                terminal.finish()
                self.assertEqual(terminal.mode(), before)

    def test_sigterm_ends_it(self):
        terminal = self.chat()
        os.kill(terminal.pid, signal.SIGTERM)
        self.assertEqual(terminal.finish()[0], 143)


if __name__ == "__main__":
    unittest.main()
