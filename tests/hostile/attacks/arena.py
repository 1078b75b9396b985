"""Where an attack takes place: its directories, the services and processes it goes for, and how it is started.

An arena serves one run. What the arguments of an attack name in braces is made when it is asked for.
"""

import contextlib
import fcntl
import json
import os
import pathlib
import pty
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import termios
import threading
import time

PATIENCE = 60  # seconds for any one run
ENDLESS = 3  # seconds after which a program counts as one that does not end
MARKER = "marker-of-the-victim"
HELLO = b"ok\n"


class Word(dict):
    """The words of an arena, made on demand by its methods `word_NAME`."""

    def __init__(self, arena):
        super().__init__()
        self.arena = arena

    def __missing__(self, name):
        self[name] = getattr(self.arena, "word_" + name)()
        return self[name]


class Arena:
    """Use as a context manager. `confined` says whether the program will see a /tmp of its own."""

    def __init__(self, program, confined):
        self.stack = contextlib.ExitStack()
        self.words = Word(self)
        self.confined = confined
        self.left = []  # descriptors that the caller forgot to close
        self.victim = None
        self.received = threading.Event()
        self.base = pathlib.Path(tempfile.mkdtemp(prefix="symbiont-attack-", dir="/var/tmp"))
        self.stack.callback(shutil.rmtree, self.base, ignore_errors=True)
        self.base.chmod(0o755)
        self.build(program)

    def build(self, program):
        for name in ("read/denied", "read/open", "write/vault", "write/above/vault", "write/empty-vault", "write/point",
                     "outside", "temp", "bin"):
            (self.base / name).mkdir(parents=True)
        for name in ("read/denied/secret", "read/plain", "write/vault/secret", "write/above/vault/secret",
                     "outside/secret", "outside/input", "outside/log"):
            (self.base / name).write_text("secret\n", encoding="ascii")
        (self.base / "read/link").symlink_to(self.base / "outside/secret")
        (self.base / "write").chmod(0o777)
        shutil.copy(program, self.base / "bin/attack")
        (self.base / "bin/attack").chmod(0o755)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.stack.close()

    def fill(self, value):
        """`value` with its words filled in: a string, a list or a dictionary."""
        if isinstance(value, str):
            return value.format_map(self.words)
        if isinstance(value, (list, tuple)):
            return [self.fill(one) for one in value]
        if isinstance(value, dict):
            return {key: self.fill(one) for key, one in value.items()}
        return value

    # Places

    def word_read(self):
        return str(self.base / "read")

    def word_write(self):
        return str(self.base / "write")

    def word_outside(self):
        return str(self.base / "outside")

    def word_secret(self):
        return str(self.base / "outside/secret")

    def word_temp(self):
        return "/tmp" if self.confined else str(self.base / "temp")

    def word_program(self):
        return str(self.base / "bin/attack")

    def word_set_id(self):
        path = self.base / "read/set-id-attack"
        shutil.copy(self.base / "bin/attack", path)
        path.chmod(0o4755)
        return str(path)

    def word_sysfs(self):
        return first_that_exists("/sys/kernel/mm/ksm/run", "/sys/kernel/mm/transparent_hugepage/enabled",
                                 "/sys/kernel/uevent_seqnum")

    def word_cgroup(self):
        return first_that_exists("/sys/fs/cgroup/cgroup.procs", "/sys/fs/cgroup/unified/cgroup.procs",
                                 "/sys/fs/cgroup/memory/cgroup.procs")

    def word_disk(self):
        disks = [path for path in pathlib.Path("/dev").glob("*") if path.is_block_device()]
        real = [path for path in disks if not path.name.startswith(("loop", "ram", "zram"))]
        return str(sorted(real or disks)[0]) if disks else "/dev/no-disk"

    # Services of the host that answer whatever they are sent

    def serve(self, family, kind, address):
        server = socket.socket(family, kind)
        self.stack.callback(server.close)
        server.bind(address)
        if kind == socket.SOCK_STREAM:
            server.listen(8)
        threading.Thread(target=self.answer, args=(server,), daemon=True).start()
        return server

    def answer(self, server):
        """Ends when the server's socket is closed."""
        stream = server.type == socket.SOCK_STREAM
        with contextlib.suppress(OSError):
            while True:
                if stream:
                    connection, _ = server.accept()
                    with connection, contextlib.suppress(OSError):
                        connection.settimeout(PATIENCE)
                        if connection.recv(512):
                            self.received.set()
                            connection.sendall(HELLO)
                else:
                    data, peer = server.recvfrom(512)
                    if data:
                        self.received.set()
                    if peer:
                        server.sendto(HELLO, peer)

    def word_tcp(self):
        server = self.serve(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0))
        server.setsockopt(socket.IPPROTO_TCP, socket.TCP_FASTOPEN, 8)
        return server.getsockname()[1]

    word_other = word_tcp

    def word_tcp6(self):
        return self.serve(socket.AF_INET6, socket.SOCK_STREAM, ("::1", 0)).getsockname()[1]

    def word_udp(self):
        return self.serve(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0)).getsockname()[1]

    def serve_path(self, kind, name):
        path = self.base / "read" / name
        self.serve(socket.AF_UNIX, kind, str(path))
        path.chmod(0o777)
        return str(path)

    def word_socket(self):
        return self.serve_path(socket.SOCK_STREAM, "socket")

    def word_datagrams(self):
        return self.serve_path(socket.SOCK_DGRAM, "datagrams")

    def serve_abstract(self, kind):
        name = f"symbiont-attack-{os.getpid()}-{id(self)}"
        self.serve(socket.AF_UNIX, kind, "\0" + name)
        return name

    def word_abstract(self):
        return self.serve_abstract(socket.SOCK_STREAM)

    def word_abstract_datagrams(self):
        return self.serve_abstract(socket.SOCK_DGRAM)

    def start_open_proxy(self):
        """A proxy that connects to whatever it is asked for: what Restricted is not."""
        server = socket.socket()
        self.stack.callback(server.close)
        server.bind(("127.0.0.1", 0))
        server.listen(8)
        threading.Thread(target=self.relay, args=(server,), daemon=True).start()
        return server.getsockname()[1]

    def relay(self, server):
        with contextlib.suppress(OSError):
            client, _ = server.accept()
            with client:
                words = client.recv(512).decode().split()
                target = words[1].removeprefix("http://").rstrip("/").rpartition("@")[2]
                host, _, port = target.rpartition(":")
                if host.isdigit():
                    host = socket.inet_ntoa(int(host).to_bytes(4, "big"))
                with socket.create_connection((host.strip("[]"), int(port))) as upstream:
                    if words[0] == "CONNECT":
                        client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                        upstream.sendall(client.recv(512))
                    else:
                        upstream.sendall(b"GET / HTTP/1.1\r\n\r\n")
                    client.sendall(upstream.recv(512))

    # Descriptors that the caller leaves open

    def leave(self, fd):
        self.stack.callback(os.close, fd)
        self.left.append(fd)
        return fd

    def word_left_file(self):
        return self.leave(os.open(self.base / "outside/secret", os.O_RDONLY))

    def word_left_log(self):
        return self.leave(os.open(self.base / "outside/log", os.O_WRONLY | os.O_APPEND))

    def word_left_directory(self):
        return self.leave(os.open(self.base / "outside", os.O_RDONLY | os.O_DIRECTORY))

    def word_left_socket(self):
        connection = self.stack.enter_context(socket.create_connection(("127.0.0.1", self.words["tcp"])))
        self.left.append(connection.fileno())
        return connection.fileno()

    def open_input(self, kind):
        if kind == "socket":
            return self.stack.enter_context(socket.socket()).fileno()
        if kind in ("terminal", "session"):
            master, slave = pty.openpty()
            self.stack.callback(os.close, master)
            self.stack.callback(os.close, slave)
            return slave
        if not kind:
            return subprocess.DEVNULL
        path = self.base / ("outside/input" if kind == "file" else "outside")
        fd = os.open(path, os.O_RDONLY)
        self.stack.callback(os.close, fd)
        return fd

    # A process to go for

    def start_victim(self):
        if self.victim is not None:
            return
        self.victim = subprocess.Popen(
            [self.base / "bin/attack", "--victim", self.base / "outside/secret", MARKER], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True, process_group=0, env={"SYMBIONT_ATTACK_SECRET": "secret"})
        self.stack.callback(self.end_victim)
        pid, address, fd = self.victim.stdout.readline().split()
        self.words.update(victim=pid, address=address, victim_fd=fd)

    def end_victim(self):
        self.victim.kill()
        self.victim.communicate()

    def word_victim(self):
        self.start_victim()
        return self.words["victim"]

    def word_address(self):
        self.start_victim()
        return self.words["address"]

    def word_victim_fd(self):
        self.start_victim()
        return self.words["victim_fd"]

    def word_marker(self):
        self.start_victim()
        return MARKER

    def victim_lives(self):
        try:
            self.victim.stdin.write("\n")
            self.victim.stdin.flush()
            return self.victim.stdout.readline() != ""
        except OSError:
            return False

    # Who says whether an attack succeeded, when it cannot know itself

    def witness(self, testimony, returncode):
        kind, _, path = self.fill(testimony).partition(":")
        if kind == "gone":
            return not os.path.lexists(path)
        if kind == "changed":
            return pathlib.Path(path).read_text(encoding="ascii") != "secret\n"
        if kind == "set-id":
            return os.path.exists(path) and bool(os.stat(path).st_mode & (stat.S_ISUID | stat.S_ISGID))
        if kind == "core":
            return any(name.startswith("core") for name in os.listdir(path))
        if kind == "lock":
            return self.is_held(path)
        if kind in ("victim", "victim-group"):
            return not self.victim_lives()
        if kind == "datagram":
            # Where it has to arrive there is time; the listener's thread may wait long on a busy machine.
            return self.received.wait(2 if self.confined else PATIENCE)
        if kind == "parent":
            return returncode in (-signal.SIGKILL, 128 + signal.SIGKILL)
        raise ValueError(f"no witness '{testimony}'")

    def is_held(self, path):
        """Whether somebody holds the lock; whoever does is ended when the arena closes."""
        if not os.path.exists(path):
            return False
        with open(path, "r+", encoding="ascii") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return False
            except BlockingIOError:
                self.end_holder(file.read().strip())
                return True

    def end_holder(self, pid):
        """Only a process that runs this arena's program is ended: inside a sandbox pids mean something else."""
        with contextlib.suppress(OSError, ValueError):
            if os.readlink(f"/proc/{int(pid)}/exe") == self.words["program"]:
                os.kill(int(pid), signal.SIGKILL)


def own_terminal():
    """Of a new session: its input becomes its controlling terminal."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def first_that_exists(*paths):
    return next((path for path in paths if os.path.exists(path)), paths[0])


class Result:
    """What became of one run. `succeeded`: the attack got what it wanted."""

    def __init__(self, returncode, stderr, timed_out=False, report=None):
        self.returncode = returncode
        self.stderr = stderr.strip()
        self.timed_out = timed_out
        self.report = report
        self.succeeded = False

    @property
    def not_applicable(self):
        return self.returncode == 2 and "not applicable:" in self.stderr

    def __str__(self):
        report = json.dumps({key: self.report.get(key) for key in ("verdict", "exit_code", "signal", "denials", "error")}
                            ) if self.report else "none"
        return f"exit {self.returncode}{' (timed out)' if self.timed_out else ''}; stderr: {self.stderr}; report: {report}"


def run(case, arena, tool, patience=PATIENCE):
    """Tries `case` under `tool` (confinement.py) in `arena`."""
    if case.witness == "victim-group":
        arena.start_victim()
    command = tool.command(case, arena, [arena.words["program"], case.name, *arena.fill(case.args)])
    options = {"stdin": arena.open_input(case.stdin), "stdout": subprocess.PIPE, "stderr": subprocess.PIPE,
               "pass_fds": arena.left, "env": environment(case, arena, tool), "text": True, "errors": "replace",
               "cwd": "/"}
    if case.witness == "victim-group":
        options["process_group"] = arena.victim.pid
    else:
        options["start_new_session"] = True
    if case.stdin == "session":
        options["preexec_fn"] = own_terminal
    with subprocess.Popen(command, **options) as process:
        if case.name == "survive_the_launcher":
            result = lose_launcher(process, arena)
        else:
            result = wait(process, ENDLESS if case.endless and not tool.limits_time else patience)
    result.report = tool.read_report(arena)
    result.succeeded = result.timed_out if case.endless else result.returncode == 0
    if case.witness:
        result.succeeded = arena.witness(case.witness, result.returncode)
        deadline = time.monotonic() + (tool.settles_after_loss if case.place == "parent" else tool.settles)
        while result.succeeded and time.monotonic() < deadline:
            time.sleep(0.05)
            result.succeeded = arena.witness(case.witness, result.returncode)
    return result


def lose_launcher(process, arena):
    """Kills what was started, not what that has started."""
    process.stdout.readline()
    process.kill()
    process.wait()
    process.stdout.close()
    process.stderr.close()
    arena.stack.callback(end_group, process.pid)
    return Result(process.returncode, "")


def end_group(group):
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


def wait(process, patience):
    try:
        _, stderr = process.communicate(timeout=patience)
        return Result(process.returncode, stderr)
    except subprocess.TimeoutExpired:
        process.kill()
        _, stderr = process.communicate()
        return Result(process.returncode, stderr, timed_out=True)


def environment(case, arena, tool):
    """With a secret in it, and a proxy where the attack has to succeed."""
    variables = dict(os.environ, SYMBIONT_ATTACK_SECRET="secret")
    if tool.is_open and case.name.startswith("proxy_"):
        variables["HTTP_PROXY"] = f"http://127.0.0.1:{arena.start_open_proxy()}"
    return variables
