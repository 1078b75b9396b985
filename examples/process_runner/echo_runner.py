#!/usr/bin/env python3
"""An engine that answers with the words of the prompt: the whole protocol in one file, standard library only.

Use it: provider = { Process = { command = ["/usr/bin/python3", "/srv/echo_runner.py"] } }  (docs/runners.md)
"""

import json
import queue
import sys
import threading

WORD_SECONDS = 0.002  # an engine that thinks about each word


def say(message):
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def fail(identity, code, text):
    say({"type": "error", "id": identity, "code": code, "message": text})


class Engine:
    """One thread reads lines, so that a cancel is seen while the other one answers."""

    def __init__(self):
        self.requests = queue.Queue()
        self.cancelled = threading.Event()
        self.current = None

    def read(self):
        for line in sys.stdin:
            try:
                message = json.loads(line)
                kind, identity = message["type"], int(message["id"])
            except (ValueError, KeyError, TypeError, RecursionError):
                fail(0, "invalid_input", "a line that is no request")
                continue
            if kind == "execute":  # one at a time: the host waits for its end
                self.cancelled.clear()
                self.current = identity
                self.requests.put(message)
            elif kind == "cancel":
                if identity == self.current:
                    self.cancelled.set()
            else:
                fail(identity, "invalid_input", "unknown type")
        self.cancelled.set()  # end of input: leave
        self.requests.put(None)

    def answer(self, request):
        identity = request["id"]
        options = request.get("options") or {}
        prompt = request.get("prompt", "")
        most = options.get("max_tokens", 256)
        if not isinstance(prompt, str) or not isinstance(most, int):
            fail(identity, "invalid_input", "prompt is no text, or max_tokens no number")
            return
        words = prompt.split()
        sent, reason = 0, "stop"
        for word in words:
            if self.cancelled.wait(WORD_SECONDS):
                reason = "cancelled"
                break
            if sent == most:
                reason = "length"
                break
            # A line has at most 64 KiB; escaped, a character takes up to 12 bytes.
            say({"type": "token", "id": identity, "text": (" " if sent else "") + word[:4096]})
            sent += 1
        say({"type": "done", "id": identity, "finish_reason": reason,
             "usage": {"prompt_tokens": len(words), "completion_tokens": sent}})

    def run(self):
        threading.Thread(target=self.read, daemon=True).start()
        say({"type": "ready", "protocol": 1, "name": "echo", "version": "1"})
        while (request := self.requests.get()) is not None:
            self.answer(request)


if __name__ == "__main__":
    sys.stdin.reconfigure(encoding="utf-8", errors="replace")
    Engine().run()
