"""The program on a pseudo-terminal: colour, progress, and a conversation that Ctrl-C does not end.

Not in the suite: about one run in fifty fails. Seen: Ctrl-D is lost when it is typed before the editor takes over the terminal, and
after Ctrl-C at the prompt the prompt does not come back. By hand: SYMBIONT_BIN_DIR=build/dev/bin python3 tests/e2e/terminal_manual.py
"""

import os
import pathlib
import pty
import select
import signal
import tempfile
import time
import unittest

BINARY = pathlib.Path(os.environ["SYMBIONT_BIN_DIR"]) / "symbiont"
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
MODEL = os.environ.get("SYMBIONT_TEST_MODEL") or str(
    CACHE / "symbiont/models/SmolLM2-135M-Instruct.Q4_1.gguf")
WAIT_SECONDS = 30


class Terminal:
    """A child on a terminal of its own; what it prints is collected in `seen`."""

    def __init__(self, *arguments, **environment):
        kept = {k: v for k, v in os.environ.items() if k != "NO_COLOR"}
        self.seen = b""
        self.status = None
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execve(BINARY, [str(BINARY), *arguments], {**kept, "TERM": "xterm", **environment})

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


class Chat(TerminalCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.state = pathlib.Path(folder.name)

    def chat(self, *arguments):
        terminal = self.open("chat", "--model", MODEL, *arguments, NO_COLOR="1",
                             XDG_STATE_HOME=str(self.state))
        terminal.expect(b"> ")
        return terminal

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
        terminal.type(b"/quit\r")
        self.assertEqual(terminal.finish()[0], 0)

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

    def test_ctrl_d_typed_ahead_ends_it(self):
        terminal = self.chat("--max-tokens", "20", "--seed", "1")
        terminal.type(b"Name a river.\r\x04")
        self.assertEqual(terminal.finish()[0], 0)

    def test_sigterm_ends_it(self):
        terminal = self.chat()
        os.kill(terminal.pid, signal.SIGTERM)
        self.assertEqual(terminal.finish()[0], 143)


if __name__ == "__main__":
    unittest.main()
