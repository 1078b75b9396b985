"""Writes one shell script a kernel test, for the guest of scripts/kernel-matrix.

Usage: guest_tests.py BUILD_DIR SOURCE_DIR OUTPUT_DIR < `ctest --show-only=json-v1`
Writes OUTPUT_DIR/NAME and OUTPUT_DIR/order ("NAME GROUP SCRIPT" a line); prints the files of this machine that the tests name,
and "python:FILE" for an interpreter, which needs more than itself.
GROUP is the control group to run in: "system", or "delegated" for one that the ordinary user owns.
"""

import json
import pathlib
import shlex
import subprocess
import sys

ORDINARY = "_as_ordinary_user"


def properties_of(test: dict) -> dict:
    return {entry["name"]: entry["value"] for entry in test.get("properties", [])}


def command_of(test: dict) -> list:
    """With the interpreter itself instead of a link or script that leads to it."""
    program, *arguments = test["command"]
    if pathlib.Path(program).name.startswith("python"):
        program = subprocess.run([program, "-c", "import os, sys; print(os.path.realpath(sys.executable))"], check=True,
                                 capture_output=True, text=True).stdout.strip()
    return [program, *arguments]


def script_of(test: dict) -> str:
    properties = properties_of(test)
    lines = ["#!/bin/sh", f"mkdir -p {shlex.quote(properties['WORKING_DIRECTORY'])}",
             f"cd {shlex.quote(properties['WORKING_DIRECTORY'])} || exit 1"]
    for assignment in properties.get("ENVIRONMENT", []):
        name, value = assignment.split("=", 1)
        lines.append(f"export {name}={shlex.quote(value)}")
    limit = int(properties.get("TIMEOUT", 120))
    lines.append(f"exec timeout -k 10 {limit} {shlex.join(command_of(test))}")
    return "\n".join(lines) + "\n"


def files_of(test: dict, roots: list) -> set:
    program, *arguments = command_of(test)
    values = [program, *arguments]
    values += [entry.split("=", 1)[1] for entry in properties_of(test).get("ENVIRONMENT", [])]
    files = set()
    for path in map(pathlib.Path, values):
        if any(path.is_relative_to(root) for root in roots) and path.is_file():
            # A Python script may import what lies beside it.
            files |= {str(other) for other in path.parent.glob("*.py")} if path.suffix == ".py" else {str(path)}
    if pathlib.Path(program).name.startswith("python"):
        files.add(f"python:{program}")
    return files


def main() -> None:
    build, source, output = (pathlib.Path(argument) for argument in sys.argv[1:4])
    order, files = [], set()
    for test in json.load(sys.stdin)["tests"]:
        name = test["name"]
        if "command" not in test:
            sys.exit(f"error: the program of the test '{name}' is not built")
        (output / name).write_text(script_of(test))
        (output / name).chmod(0o755)
        files |= files_of(test, [build, source])
        order.append(f"{name} system {name}")
        if name.endswith(ORDINARY):
            order.append(f"{name.removesuffix(ORDINARY)}_as_delegated_user delegated {name}")
    (output / "order").write_text("\n".join(order) + "\n")
    print("\n".join(sorted(files)))


main()
