#!/usr/bin/env python3
"""clang-tidy over src/, remembering what was clean.

usage: tidy.py ROOT BUILD_FOLDER [PATH-PREFIX...]      exit 0: clean, 1: findings, 77: clang-tidy is missing

A file is checked again only when it, a header it includes, its compile command or .clang-tidy has changed: the digest of all of these
names an empty file in ${XDG_CACHE_HOME:-~/.cache}/symbiont/tidy. The headers are those that ninja recorded when it compiled the file.
"""

import concurrent.futures
import hashlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

TOOL = "clang-tidy-19"
# The commands are g++'s; clang does not know all of its warnings.
EXTRA = ["--quiet", "--extra-arg=-Wno-unknown-warning-option"]


def cache_folder():
    base = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    folder = pathlib.Path(base) / "symbiont" / "tidy"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def headers_by_object(build):
    """Object file -> the files it was compiled from, as ninja recorded them."""
    listed = subprocess.run(["ninja", "-C", build, "-t", "deps"], check=True, stdout=subprocess.PIPE, text=True).stdout
    result, current = {}, None
    for line in listed.splitlines():
        if line.startswith("    "):
            result[current].append(build / line.strip())
        elif ": #deps" in line:
            current = line.partition(": #deps")[0]
            result[current] = []
    return result


def digest(root, build, entry, headers):
    """None when ninja has not compiled the file: then nothing is known about its headers."""
    output = re.search(r" -o (\S+)", entry["command"])
    files = headers.get(output[1]) if output else None
    if not files:
        return None
    total = hashlib.sha256()
    total.update(entry["command"].replace(str(root), "").encode())
    for settings in sorted(root.glob(".clang-tidy")) + sorted(root.glob("src/*/.clang-tidy")):
        total.update(settings.read_bytes())
    # Without the root, and in an order that does not depend on it: another checkout finds the same digest.
    for name in sorted(os.path.normpath(path).removeprefix(str(root) + os.sep) for path in files):
        total.update(name.encode() + b"\0")
        if not os.path.isabs(name):
            total.update((root / name).read_bytes())
    total.update(str(build.relative_to(root)).encode())
    return total.hexdigest()


def tidy(root, build, source):
    start = time.monotonic()
    done = subprocess.run([TOOL, "-p", build, *EXTRA, source], check=False, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    shown = os.path.relpath(source, root)
    print(f"{shown}: {'clean' if done.returncode == 0 else 'FINDINGS'} in {time.monotonic() - start:.1f} s", flush=True)
    if done.returncode != 0:
        print(done.stdout, flush=True)
    return done.returncode == 0


def main():
    root, build = (pathlib.Path(path).resolve() for path in sys.argv[1:3])
    prefixes = tuple(str(root / prefix) for prefix in sys.argv[3:] or ["src"])
    if not shutil.which(TOOL):
        print(f"skipped: {TOOL} is not installed")
        return 1 if os.environ.get("SYMBIONT_REQUIRE") == "all" else 77
    entries = {entry["file"]: entry for entry in json.loads((build / "compile_commands.json").read_text())
               if entry["file"].startswith(prefixes) and not entry["file"].endswith("_test.cc")}
    headers, cache = headers_by_object(build), cache_folder()

    def check(entry):
        key = digest(root, build, entry, headers)
        if key and (cache / key).exists():
            return True
        clean = tidy(root, build, entry["file"])
        if clean and key:
            (cache / key).touch()
        return clean

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        results = list(pool.map(check, entries.values()))
    print(f"{len(results)} files, {results.count(False)} with findings")
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
