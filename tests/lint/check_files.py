#!/usr/bin/env python3
"""Format and size of the tracked C++ files, and shellcheck over the scripts.

usage: check_files.py format|size|shell ROOT       exit 0: clean, 1: findings, 77: the tool is missing
"""

import os
import pathlib
import shutil
import subprocess
import sys

LONGEST = {".h": 400, ".cc": 500}
LONGEST_TEST = 800


def tracked(root, *patterns):
    """Tracked files and those about to be: everything git does not ignore."""
    listed = subprocess.run(
        ["git", "-C", root, "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *patterns],
        check=True, stdout=subprocess.PIPE, text=True).stdout
    return [root / name for name in listed.split("\0") if name and (root / name).is_file()]


def run_tool(tool, arguments):
    if not shutil.which(tool):
        print(f"skipped: {tool} is not installed")
        return 1 if os.environ.get("SYMBIONT_REQUIRE") == "all" else 77
    return 1 if subprocess.run([tool, *arguments], check=False).returncode else 0


def check_format(root):
    return run_tool("clang-format-19", ["--dry-run", "-Werror", *tracked(root, "*.h", "*.cc")])


def check_shell(root):
    scripts = [path for path in tracked(root, "scripts", ".ci", "tests", "bench")
               if path.read_bytes().startswith((b"#!/usr/bin/env bash", b"#!/bin/bash", b"#!/bin/sh"))]
    return run_tool("shellcheck", ["--external-sources", "--source-path", root, *scripts])


def check_size(root):
    too_long = 0
    for path in tracked(root, "*.h", "*.cc"):
        is_test = path.name.endswith("_test.cc") or path.relative_to(root).parts[0] == "tests"
        limit = LONGEST_TEST if is_test else LONGEST[path.suffix]
        lines = len(path.read_text(encoding="utf-8").splitlines())
        if lines > limit:
            too_long = 1
            print(f"{path.relative_to(root)}: {lines} lines, at most {limit}")
    return too_long


def main():
    checks = {"format": check_format, "size": check_size, "shell": check_shell}
    return checks[sys.argv[1]](pathlib.Path(sys.argv[2]).resolve())


if __name__ == "__main__":
    sys.exit(main())
