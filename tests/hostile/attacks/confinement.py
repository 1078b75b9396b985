"""The ways to run a program: without confinement, under symbiont, and under sandboxes to compare with."""

import json
import os
import shutil

from attack_table import PROFILE

PLACES = {
    "": [],
    "mounts": ["unshare", "--mount", "--propagation", "private"],
    "pids": ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"],
    "names": ["unshare", "--uts"],
    "nobody": ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"],
    "parent": ["sh", "-c", '"$@"; exit $?', "sh"],
}


def profile_of(case, arena, **changes):
    return {field: arena.fill(value) for field, value in (PROFILE | case.profile | changes).items()}


class Unconfined:
    """Nothing but a place where success does no harm."""

    name = "unconfined"
    asked_for = "nothing"
    is_open = True
    limits_time = False
    settles = settles_after_loss = 0

    def command(self, case, arena, argv):
        command = list(PLACES[case.place])
        if case.before:
            command += ["sh", "-ec", arena.fill(case.before) + ' && exec "$@"', "sh"]
        return command + argv

    def read_report(self, arena):
        return None


class Symbiont:
    """`symbiont sandbox exec` under the profile of the case."""

    name = "symbiont"
    asked_for = "the profile of the table, by --set"
    is_open = False
    limits_time = True
    settles = 0  # seconds after its end until nothing is left: it waits for that itself
    settles_after_loss = 30  # the same when its own process is killed

    def __init__(self, program, strict=False):
        self.program = program
        self.strict = strict

    def command(self, case, arena, argv):
        command = [self.program, "sandbox", "exec", "--report", str(arena.base / "report.json")]
        if os.geteuid() != 0:
            command += ["--degraded"]  # few hosts give an ordinary user control groups
        changes = {"security.strict_syscall_filtering": True} if self.strict else {}
        for field, value in profile_of(case, arena, **changes).items():
            command += ["--set", f"{field}={toml(field, value)}"]
        return [*command, "--", *argv]

    def read_report(self, arena):
        try:
            return json.loads((arena.base / "report.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None


def toml(field, value):
    if field == "network.allowed_destinations":
        return "[" + ", ".join(f'{{host = "{one["host"]}", port = {one["port"]}, protocol = "{one["protocol"]}"}}'
                               for one in value) + "]"
    return value if isinstance(value, str) else json.dumps(value)


class Bubblewrap:
    """bwrap with every namespace, no capabilities and only the paths of the profile. It has no limits on resources, system
    calls or single destinations; a size for its /tmp it has, and is given."""

    name = "bwrap"
    asked_for = ("--unshare-all --disable-userns --cap-drop ALL --new-session --die-with-parent --clearenv, the same paths "
                 "(a tmpfs over denied ones), --size for /tmp; --share-net for a full network")
    is_open = False
    limits_time = False
    settles = settles_after_loss = 10

    def command(self, case, arena, argv):
        profile = profile_of(case, arena)
        command = ["bwrap", "--unshare-all", "--unshare-user", "--disable-userns", "--cap-drop", "ALL", "--new-session",
                   "--die-with-parent", "--clearenv", "--dev", "/dev"]
        if profile["network.access_mode"] == "Full":
            command += ["--share-net"]
        for path in ("/usr", "/bin", "/sbin", "/lib", "/lib64"):
            if os.path.islink(path):
                command += ["--symlink", os.readlink(path), path]
            elif os.path.isdir(path):
                command += ["--ro-bind", path, path]
        for path in profile["filesystem.read_paths"]:
            command += ["--proc", "/proc"] if path == "/proc" else ["--ro-bind", path, path]
        for path in profile["filesystem.write_paths"]:
            command += ["--bind", path, path]
        for path in profile["filesystem.denied_paths"]:
            command += ["--tmpfs", path]
        if profile.get("filesystem.allow_temp_files"):
            command += ["--size", str(profile["resources.max_disk_mb"] << 20), "--tmpfs", "/tmp"]
        return [*command, "--ro-bind", argv[0], argv[0], *argv]

    def read_report(self, arena):
        return None


class Firejail:
    """firejail with its default profile and what comes nearest to the profile of the case. It hides /var/tmp, where an arena
    lies, unless told not to: nothing would run."""

    name = "firejail"
    asked_for = ("its default profile, --keep-var-tmp --caps.drop=all --seccomp --nonewprivs --noroot --private-dev --net=none, "
                 "read-only and blacklist for paths, rlimits for memory (as), file size and open files, --timeout")
    is_open = False
    limits_time = True
    settles = settles_after_loss = 10

    def command(self, case, arena, argv):
        profile = profile_of(case, arena)
        seconds = profile["process_limits.max_execution_time_seconds"]
        command = ["firejail", "--quiet", "--keep-var-tmp", "--caps.drop=all", "--seccomp", "--nonewprivs", "--noroot",
                   "--private-dev", "--private-tmp", f"--rlimit-as={profile['resources.max_memory_mb'] << 20}",
                   f"--rlimit-fsize={profile['filesystem.max_file_size_mb'] << 20}", "--rlimit-nofile=1024",
                   f"--timeout=00:00:{seconds:02d}", f"--blacklist={arena.words['outside']}", "--read-only=/usr"]
        if profile["network.access_mode"] != "Full":
            command += ["--net=none"]
        command += [f"--read-only={path}" for path in profile["filesystem.read_paths"] if path != "/proc"]
        command += [f"--blacklist={path}" for path in profile["filesystem.denied_paths"]]
        return [*command, "--", *argv]

    def read_report(self, arena):
        return None


def others():
    """The other sandboxes that are installed here."""
    return [tool for tool in (Bubblewrap(), Firejail()) if shutil.which(tool.name)]
