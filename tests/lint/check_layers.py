#!/usr/bin/env python3
"""Fails when a file includes something that its folder may not know about.

usage: check_layers.py ROOT        exit 0: clean, 1: violations, 2: nothing to check

Includes are written from src/ ("sandbox/policy.h") or from include/ ("symbiont/engine.h"). A folder may include itself, the folders
of its row, include/symbiont and libraries; include/symbiont may include only itself and the standard library. A new folder of src/
has to declare its arrows by a row here. The row with the longest matching name counts, so that a program's main can have its own.
"""

import pathlib
import re
import sys

WIRING = {"base", "config", "catalog", "access", "gguf", "sandbox", "runners", "engine", "observe", "api", "cluster"}
MAY_INCLUDE = {
    "base": set(),
    "config": {"base"},
    "gguf": {"base"},
    "broker": {"base"},
    "web": {"base"},
    "sandbox": {"base"},
    "ipc": {"base"},
    "observe": {"base"},
    "catalog": {"base", "config", "gguf"},
    "access": {"base", "catalog"},
    "runners": {"base", "catalog", "access", "sandbox", "ipc", "broker", "gguf"},
    "engine": {"base", "config", "catalog", "access", "runners", "observe"},
    "api": {"base", "engine", "observe", "web"},
    "cluster": {"base", "engine", "ipc", "runners"},
    "worker": {"base", "ipc", "sandbox"},
    "cmd": WIRING,
    "cmd/symbiont-launcher": {"base", "ipc", "sandbox"},
    "cmd/symbiont-worker": {"base", "ipc", "sandbox", "worker"},
    "cmd/symbiont-tuner": {"base", "worker"},
}

# What a folder sees of another one, where that is less than all of it: the worker may lock itself down and start nothing.
ONLY_THESE_HEADERS = {("worker", "sandbox"): re.compile(r"sandbox/lockdown\w*\.h")}

# Libraries with one home: everything else goes through the folder's own types.
HOMES = {
    re.compile(r"(llama|ggml|gguf)(-[\w-]+)?\.h"): {"worker"},
    re.compile(r"toml\+\+/.*|toml\.hpp"): {"config"},
    re.compile(r"seccomp\.h"): {"sandbox", "config"},
    re.compile(r"CLI/.*"): {"cmd"},
}

INCLUDE = re.compile(r'\s*#\s*include\s*(?:"([^"]+)"|<([^>]+)>)')


def row_of(folder):
    """The longest row that is `folder` or one of its parents; None when there is none."""
    while folder and folder not in MAY_INCLUDE:
        folder = folder.rpartition("/")[0]
    return folder or None


def objection(row, target, quoted):
    """Why a file of `row` (None: include/symbiont) may not include `target`; None when it may."""
    top = row.split("/")[0] if row else "include"
    for pattern, homes in HOMES.items():
        if not quoted and pattern.fullmatch(target) and top not in homes:
            return f"only {', '.join(sorted(homes))}/ may include <{target}>"
    other = target.partition("/")[0]
    if not quoted or other not in MAY_INCLUDE or "/" not in target:
        return None
    if row is None:
        return f"a public header may not include {target}"
    if other != top and other not in MAY_INCLUDE[row]:
        return f"{row}/ may not include {target}"
    only = ONLY_THESE_HEADERS.get((top, other))
    if only and not only.fullmatch(target):
        return f"{row}/ may include only {only.pattern} of {other}/, not {target}"
    return None


def problems_in(path, shown, row):
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        include = INCLUDE.match(line)
        if include:
            reason = objection(row, include[1] or include[2], bool(include[1]))
            if reason:
                yield f"{shown}:{number}: {reason}"


def check(root):
    """How many files were read, and every problem found."""
    count, problems = 0, []
    for top in (root / "include" / "symbiont", root / "src"):
        for path in sorted(p for p in top.rglob("*") if p.suffix in {".h", ".cc"}):
            count += 1
            shown = path.relative_to(root).as_posix()
            row = row_of(path.parent.relative_to(root / "src").as_posix()) if top.name == "src" else None
            if row is None and top.name == "src":
                problems.append(f"{shown}: this folder has no row in MAY_INCLUDE of {pathlib.Path(__file__).name}")
            else:
                problems.extend(problems_in(path, shown, row))
    return count, problems


def main():
    count, problems = check(pathlib.Path(sys.argv[1]))
    print("\n".join(problems) or f"{count} files, every include allowed")
    return 1 if problems else 0 if count else 2


if __name__ == "__main__":
    sys.exit(main())
