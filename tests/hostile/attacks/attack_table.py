"""Which attacks there are, what each of them needs, and how the sandbox has to answer.

Every case runs `attack NAME ARGUMENTS` twice: unconfined, where it must succeed, and under a profile, where it must not.
Words in braces are made by the arena (arena.py): directories, ports of listeners, the pid of a victim, descriptors.
"""

import dataclasses

# The names of the attack program that are no attacks.
HELPERS = {"probe", "effective_root"}

# What every case's profile says; a case changes single fields. Denied system calls fail with EPERM here, so that the
# attack goes on and its own answer is seen; cases that name a system call run a second time in strict mode.
PROFILE = {
    "resources.max_memory_mb": 256,
    "resources.max_disk_mb": 8,
    "filesystem.read_paths": ["{read}"],
    "filesystem.write_paths": ["{write}"],
    "filesystem.denied_paths": ["{read}/denied", "{write}/vault", "{write}/empty-vault", "{write}/above/vault"],
    "filesystem.max_file_size_mb": 10,
    "process_limits.max_child_processes": 0,
    "process_limits.max_execution_time_seconds": 30,
    "network.access_mode": "None",
    "security.strict_syscall_filtering": False,
}


@dataclasses.dataclass(frozen=True)
class Case:
    name: str
    args: tuple = ()
    area: str = ""
    profile: dict = dataclasses.field(default_factory=dict)
    verdict: tuple = ("Exited",)  # kinds that are right for the confined run
    denial: str = ""  # "kind" or "kind:name" that the report has to list
    # Where the unconfined run may succeed without harm: "" = here, "mounts", "pids" and "names" = a namespace of its own,
    # "nobody" = as an ordinary user, "parent" = under a shell that may be lost.
    place: str = ""
    before: str = ""  # shell commands in that place, before the attack
    witness: str = ""  # who says whether it succeeded, when the attack cannot know: see arena.Arena.witness
    stdin: str = ""  # "terminal", "session" (the caller's terminal), "file", "directory" or "socket"
    endless: bool = False  # success is not to end
    root: bool = False  # only root succeeds unconfined
    needs: str = ""  # a path without which the host has nothing to attack
    optional: str = ""  # why a host may lack what is attacked
    held: tuple = ()  # a control, and a word of the only mechanism of it that stops this: SECURITY.md says so

    @property
    def syscall(self):
        kind, _, name = self.denial.partition(":")
        return name if kind == "syscall" else ""


def case(name, *args, **fields):
    return Case(name, args, **fields)


def denied(name, syscall, *args, **fields):
    """A case that dies of one system call."""
    return Case(name, args, verdict=("SyscallDenied",), denial=f"syscall:{syscall}", **fields)


def hidden(name, path, *args, **fields):
    """A case that dies of opening one file."""
    return Case(name, (path, *args), verdict=("FsDenied",), denial=f"file:{path}", **fields)


def offline(name, *args, **fields):
    """A case that dies of socket(2)."""
    return Case(name, args, verdict=("NetDenied",), denial="network", **fields)


TEMPORARY = {"filesystem.allow_temp_files": True}
CHILDREN = {"process_limits.max_child_processes": 4}
SMALL = {"resources.max_memory_mb": 64}
PROC = {"filesystem.read_paths": ["{read}", "/proc"]}
FULL = {"network.access_mode": "Full"}
ONE_SECOND = {"process_limits.max_execution_time_seconds": 1}


def restricted(host, port):
    return {"network.access_mode": "Restricted",
            "network.allowed_destinations": [{"host": host, "port": port, "protocol": "TCP"}]}


OTHER = restricted("127.0.0.1", "{other}")

FILES = [
    hidden("read_shadow", "/etc/shadow", root=True),
    hidden("read_outside", "{secret}"),
    hidden("read_denied", "{read}/denied/secret"),
    case("read_denied_dotdot", "{read}/open/../denied/secret", verdict=("FsDenied",), denial="file"),
    case("read_ready_link", "{read}/link", verdict=("FsDenied", "Exited")),
    case("read_own_link", "{secret}", "{write}/own-link", verdict=("FsDenied", "Exited")),
    case("read_hard_link", "{read}/denied/secret", "{write}/hard"),
    hidden("list_denied", "{read}/denied"),
    hidden("list_home", "{outside}"),
    case("rename_denied", "{write}/vault", "{write}/free", "{write}/free/secret"),
    # What is moved would stay covered for this program, and not for the next one under the same profile.
    case("rename_above_denied", "{write}/above", "{write}/moved", "{write}/moved/vault/secret",
         verdict=("Exited", "FsDenied"), witness="gone:{write}/above"),
    case("remove_denied", "{write}/vault/secret", witness="gone:{write}/vault/secret"),
    case("remove_denied_directory", "{write}/empty-vault", witness="gone:{write}/empty-vault"),
    denied("read_by_handle", "name_to_handle_at", "{read}/plain", root=True,
           optional="not every file system has handles"),
    case("read_by_ring", "{secret}", optional="io_uring may be off"),
    case("read_proc_root", "/proc/1/root{secret}", profile=PROC, verdict=("Exited", "FsDenied"), place="pids", root=True),
    hidden("create_outside", "{outside}/new"),
    hidden("create_in_read_path", "{read}/new"),
    hidden("create_in_usr", "/usr/local/symbiont-attack", root=True),
    case("nameless_in_read_path", "{read}", verdict=("FsDenied",), denial="file"),
    hidden("write_read_path", "{read}/plain"),
    hidden("write_system", "/usr/lib/os-release", root=True, needs="/usr/lib/os-release"),
    case("write_by_link", "{read}/plain", "{write}/by-link", root=True),
    case("truncate_read_path", "{read}/plain", witness="changed:{read}/plain"),
    case("chmod_read_path", "{read}/plain"),
    case("touch_read_path", "{read}/plain"),
    case("remove_read_path", "{read}/plain", witness="gone:{read}/plain"),
    case("replace_program", "{program}", "{program}.moved", witness="gone:{program}"),
    hidden("write_proc_sys", "/proc/sys/vm/swappiness", profile=PROC, root=True),
    hidden("write_sys", "{sysfs}", root=True),
    hidden("write_cgroup", "{cgroup}", root=True, optional="there may be no control groups"),
    hidden("open_kvm", "/dev/kvm", root=True, needs="/dev/kvm"),
    hidden("open_fuse", "/dev/fuse", root=True, needs="/dev/fuse"),
    hidden("open_kmsg", "/dev/kmsg", root=True, needs="/dev/kmsg"),
    hidden("open_disk", "{disk}", root=True, optional="there may be no disk, or none for a container"),
    case("make_device", "{write}/device", verdict=("Exited", "SyscallDenied"), root=True),
    denied("set_id_by_chmod", "fchmod", "{write}/set-id", witness="set-id:{write}/set-id"),
    case("set_id_by_open", "{write}/set-id", verdict=("SyscallDenied", "FsDenied"), witness="set-id:{write}/set-id"),
    denied("set_id_by_fchmodat2", "fchmodat2", "{write}/set-id", witness="set-id:{write}/set-id",
           optional="kernels before 6.6 lack the call"),
    denied("set_id_by_high_bits", "fchmod", "{write}/set-id", witness="set-id:{write}/set-id"),
    denied("set_id_directory", "chmod", "{write}/set-id", witness="set-id:{write}/set-id"),
    case("set_file_capability", "{write}/capable", root=True),
    case("give_away", "{write}/given", root=True),
    case("execute_written", "{program}", "{write}/copy", verdict=("Exited", "FsDenied")),
    case("execute_temporary", "{program}", "{temp}/copy", profile=TEMPORARY, verdict=("Exited", "FsDenied")),
    case("execute_by_loader", "{write}/copy", profile=CHILDREN, optional="the loader's name varies"),
    denied("execute_memory_file", "memfd_create", "{program}"),
    case("map_written_code", "{program}", "{write}/copy"),
    denied("mount_tmpfs", "mount", "{write}", place="mounts", root=True),
    denied("bind_mount", "mount", "{outside}", "{write}/point", "{write}/point/secret", place="mounts", root=True),
    denied("remount_writable", "mount", "{read}", "{read}/new", place="mounts", root=True,
           before="mount --bind {read} {read} && mount -o remount,bind,ro {read}"),
    denied("unmount_cover", "umount2", "{read}/denied", "{read}/denied/secret", place="mounts", root=True,
           before="mount -t tmpfs cover {read}/denied"),
    denied("clone_mount_tree", "open_tree", place="mounts", root=True),
    denied("new_file_system", "fsopen", place="mounts", root=True),
    denied("change_mount_attributes", "mount_setattr", "{read}", place="mounts", root=True,
           before="mount --bind {read} {read}"),
    denied("change_root", "chroot", "{write}", root=True),
    denied("pivot_root", "pivot_root", "{write}", place="mounts", root=True,
           before="mount --bind {write} {write}"),
    case("fill_with_files", "{temp}", "20000", profile=TEMPORARY, verdict=("DiskLimit",)),
    case("fill_with_bytes", "{temp}", "64", profile=TEMPORARY, verdict=("DiskLimit",)),
    case("one_big_file", "{write}/big", "20", verdict=("FileSizeLimit",)),
    case("raise_file_size", "{write}/big", "20", verdict=("FileSizeLimit",)),
    case("one_sparse_file", "{write}/sparse", "1024", verdict=("FileSizeLimit",)),
]

NETWORK = [
    offline("tcp", "{tcp}"),
    offline("tcp6", "{tcp6}", optional="there may be no IPv6"),
    offline("tcp_fast_open", "{tcp}"),
    offline("mptcp", "{tcp}", optional="the kernel may lack MPTCP"),
    offline("udp", "{udp}"),
    offline("udp_many", "{udp}"),
    offline("dns_query", "{udp}"),
    offline("raw_socket", root=True),
    offline("packet_socket", profile=FULL, root=True),
    offline("netlink_route"),
    offline("kernel_events"),
    offline("vsock", optional="the kernel may lack vsock"),
    offline("kernel_crypto", optional="the kernel may lack AF_ALG"),
    offline("rare_families", optional="the kernel may lack all of them"),
    offline("unix_path", "{socket}"),
    offline("unix_path_full", "{socket}", profile=FULL),
    offline("unix_abstract", "{abstract}"),
    offline("unix_abstract_full", "{abstract}", profile=FULL),
    offline("unix_by_high_bits", "{socket}", profile=FULL),
    case("reconnect_pair", "{datagrams}", witness="datagram", verdict=("Exited", "NetDenied", "SyscallDenied")),
    case("reconnect_pair_full", "{abstract_datagrams}", profile=FULL, witness="datagram",
         verdict=("Exited", "NetDenied", "SyscallDenied")),
    case("connect_pair", "{datagrams}", witness="datagram", verdict=("Exited", "NetDenied", "SyscallDenied")),
    case("ring_socket", "{tcp}", optional="io_uring may be off"),
    case("inherited_socket", "{left_socket}"),
    case("connect_input", "{tcp}", stdin="socket", verdict=("SetupFailed",)),
    offline("listen_for_others"),
    case("restricted_tcp", "{tcp}", profile=OTHER, verdict=("Exited", "NetDenied")),
    offline("restricted_udp", "{udp}", profile=OTHER),
    offline("proxy_unlisted", "127.0.0.1:{tcp}", profile=OTHER),
    offline("proxy_decimal", "2130706433:{tcp}", profile=OTHER),
    offline("proxy_mapped", "[::ffff:127.0.0.1]:{tcp}", profile=OTHER),
    offline("proxy_name", "localhost:{tcp}", profile=restricted("localhost", "{tcp}")),
    case("proxy_null", "127.0.0.1:{other}@127.0.0.1:{tcp}", profile=OTHER, verdict=("Exited", "NetDenied")),
    case("proxy_get", "127.0.0.1:{tcp}", "127.0.0.1:{other}", profile=OTHER, verdict=("Exited", "NetDenied")),
]

PROCESS = [
    case("fork_bomb", "64", profile=CHILDREN, verdict=("ProcessLimit",), denial="process"),
    case("fork_once", "1", verdict=("ProcessLimit",), denial="process"),
    # Dead children are bounded with the threads, apart from the living.
    case("zombie_flood", "5000", profile=CHILDREN, verdict=("ProcessLimit",)),
    case("vfork_child", verdict=("ProcessLimit",), denial="process"),
    case("clone3_child"),
    case("survive_the_end", "{write}/lock", profile=CHILDREN, witness="lock:{write}/lock"),
    case("survive_the_launcher", "{write}/lock", profile=CHILDREN, witness="lock:{write}/lock", place="parent"),
    case("signal_everyone"),
    case("kill_process", "{victim}", witness="victim"),
    case("kill_group", witness="victim-group"),
    case("kill_parent", witness="parent", place="parent"),
    denied("trace_process", "ptrace", "{victim}", root=True),
    denied("trace_child", "ptrace"),
    denied("read_memory", "process_vm_readv", "{victim}", "{address}", root=True),
    denied("write_memory", "process_vm_writev", "{victim}", "{address}", root=True),
    denied("steal_descriptor", "pidfd_getfd", "{victim}", "{victim_fd}", root=True),
    denied("compare_processes", "kcmp", "{victim}", root=True),
    case("raise_priority", root=True),
    case("run_in_real_time", root=True),
    case("widen_affinity"),
    denied("unshare_user", "unshare"),
    denied("unshare_network", "unshare", root=True),
    denied("clone_namespace", "clone", profile=CHILDREN),
    case("clone3_namespace", profile=CHILDREN),
    denied("enter_namespaces", "setns", "{victim}", root=True),
    case("become_root", root=True),
    case("regain_capabilities", root=True),
    case("keep_privileged_exec"),
    case("set_id_program", "{set_id}", place="nobody", root=True),
    denied("override_filter", "unshare", root=True),
    case("answer_own_calls"),
    denied("type_into_terminal", "ioctl", stdin="terminal", root=True),
    denied("type_by_high_bits", "ioctl", stdin="terminal", root=True),
    denied("take_terminal", "ioctl", stdin="terminal", root=True),
    case("take_foreground", stdin="session"),
    denied("change_personality", "personality"),
    case("call_32_bit", verdict=("SyscallDenied",), optional="the kernel may lack the 32-bit table"),
    case("call_x32", verdict=("SyscallDenied",), optional="most kernels lack the x32 table"),
    denied("change_segments", "modify_ldt", optional="only x86 has segments"),
]

RESOURCES = [
    case("private_memory", "256", profile=SMALL, verdict=("MemoryLimit",)),
    case("shared_memory", "256", profile=SMALL, verdict=("MemoryLimit",)),
    denied("memory_file", "memfd_create", "64"),
    case("temporary_files", "{temp}", "256", profile=SMALL | TEMPORARY | {"resources.max_disk_mb": 32},
         verdict=("DiskLimit", "MemoryLimit")),
    case("locked_file", "{write}/locked", "128", profile=SMALL | {"filesystem.max_file_size_mb": 200},
         verdict=("Exited", "MemoryLimit"), root=True),
    case("stacks", "256", profile=SMALL, verdict=("MemoryLimit", "ProcessLimit", "Exited")),
    case("memory_of_children", "256", profile=CHILDREN | {"resources.max_memory_mb": 128}, verdict=("MemoryLimit",),
         held=("memory", "cgroup")),
    case("pipes", "256", profile=SMALL, verdict=("MemoryLimit", "Exited"), root=True),
    case("socket_buffers", "128", profile=SMALL, verdict=("MemoryLimit", "Exited"), held=("memory", "cgroup")),
    case("processors", "2", profile={"resources.max_cpu_cores": 0.1}, held=("cpu", "cgroup")),
    case("threads", "2000", verdict=("ProcessLimit",)),
    case("sleep_for_ever", profile=ONE_SECOND, verdict=("TimeLimit",), endless=True, place="pids", root=True),
    case("sleep_deaf", profile=ONE_SECOND, verdict=("TimeLimit",), endless=True, place="pids", root=True),
    case("spin_for_ever", profile=ONE_SECOND, verdict=("TimeLimit", "CpuTimeLimit"), endless=True, place="pids",
         root=True),
    case("sleep_as_daemon", profile=ONE_SECOND | CHILDREN, verdict=("TimeLimit",), endless=True, place="pids",
         root=True),
    case("descriptors", "15000", root=True),
    case("raise_limits", root=True),
    denied("system_v_memory", "shmget", "128"),
    denied("system_v_queue", "msgget"),
    denied("system_v_semaphores", "semget"),
    denied("message_queue", "mq_open"),
    denied("keys", "add_key"),
    case("dump_core", "{write}", witness="core:{write}", verdict=("Signaled",), root=True),
]

DOORS = [
    case("read_environment", "SYMBIONT_ATTACK_SECRET"),
    case("read_left_descriptor", "{left_file}"),
    case("write_left_descriptor", "{left_log}"),
    case("open_below_left_directory", "{left_directory}", "secret", verdict=("Exited", "FsDenied")),
    case("find_any_descriptor", "{left_file}"),
    case("reopen_input", profile=PROC, stdin="file", verdict=("Exited", "FsDenied")),
    case("leave_by_input", "secret", stdin="directory", verdict=("Exited", "FsDenied"), held=("landlock", "ABI")),
    case("find_process", "{marker}", profile=PROC),
    case("read_first_environment", "/proc/1/environ", "SYMBIONT_ATTACK_SECRET", profile=PROC, place="pids", root=True,
         verdict=("Exited", "FsDenied")),
    case("open_descriptors_of_first", profile=PROC, place="pids", root=True, verdict=("Exited", "FsDenied")),
    case("read_process_environment", "/proc/{victim}/environ", profile=PROC, verdict=("Exited", "FsDenied")),
    case("read_process_memory", "/proc/{victim}/mem", profile=PROC, verdict=("Exited", "FsDenied")),
    case("read_kernel_memory", "/proc/kcore", profile=PROC, root=True, needs="/proc/kcore",
         verdict=("Exited", "FsDenied")),
    case("press_sysrq", "/proc/sysrq-trigger", profile=PROC, root=True, needs="/proc/sysrq-trigger",
         verdict=("Exited", "FsDenied")),
    case("change_core_pattern", "/proc/sys/kernel/core_pattern", profile=PROC, root=True,
         verdict=("Exited", "FsDenied")),
    denied("kernel_log", "syslog", root=True),
    denied("set_clock", "clock_adjtime", root=True),
    denied("set_clock_time", "settimeofday", root=True),
    denied("set_host_name", "sethostname", "attacked", place="names", root=True),
    denied("reboot", "reboot", root=True),
    denied("load_module", "init_module", root=True, optional="the kernel may have no modules"),
    denied("load_kernel", "kexec_load", root=True, optional="the kernel may lack kexec"),
    denied("add_swap", "swapon", root=True, optional="the kernel may lack swap"),
    denied("account_processes", "acct", root=True, optional="the kernel may lack accounting"),
    denied("watch_files", "fanotify_init", root=True, optional="the kernel may lack fanotify"),
    denied("port_access", "ioperm", root=True, optional="only x86 has ports"),
    denied("load_bpf", "bpf", root=True, optional="the kernel may lack BPF"),
    denied("measure_everyone", "perf_event_open", root=True),
    denied("handle_faults", "userfaultfd", root=True, optional="the kernel may lack userfaultfd"),
    case("ring", optional="io_uring may be off"),
    denied("read_keyring", "keyctl"),
    case("secret_memory", optional="secret memory may be off"),
    denied("move_pages", "migrate_pages", optional="only NUMA kernels have it"),
]

CASES = [dataclasses.replace(one, area=area)
         for area, cases in (("files", FILES), ("network", NETWORK), ("process", PROCESS), ("resources", RESOURCES),
                             ("doors", DOORS))
         for one in cases]
