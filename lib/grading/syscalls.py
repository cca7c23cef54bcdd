"""What a sandboxed process may not ask of the kernel: a filter for seccomp, as bubblewrap takes it.

Namespaces hide what is outside. This list takes away what works inside them and is no part of answering a question:
other processes and threads, sockets, memory that no limit counts, and calls that have often been a way out.
"""

import errno
import platform
import struct

# name: numbers on x86_64 and on aarch64, from the kernel's tables; None where that machine has no such call.
REFUSED = {
    "fork": (57, None),
    "vfork": (58, None),
    "clone": (56, 220),  # threads too
    "socket": (41, 198),
    "socketpair": (53, 199),
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    "shmget": (29, 194),
    "shmat": (30, 196),
    "msgget": (68, 186),
    "semget": (64, 190),
    "mq_open": (240, 180),
    "prctl": (157, 167),  # could take back that it ends with its sandbox
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "unshare": (272, 97),
    "setns": (308, 268),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsmount": (432, 432),
    "mount_setattr": (442, 442),
    "open_by_handle_at": (304, 265),
    "keyctl": (250, 219),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "io_setup": (206, 0),
    "io_uring_setup": (425, 425),
    "syslog": (103, 116),
    "kexec_load": (246, 104),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "personality": (135, 92),
}
CLONE3 = 435  # the same everywhere
# machine: its column above, and the name that the kernel gives it
MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
X32 = 0x40000000  # from here on, x86_64 has its calls once more under other numbers

# Instructions of the kernel's small machine, and what it may answer.
LOAD, EQUAL, AT_LEAST, RETURN = 0x20, 0x15, 0x35, 0x06
ALLOW, KILL, ERROR = 0x7FFF0000, 0x80000000, 0x00050000
NUMBER_AT, MACHINE_AT = 0, 4


def filter_program(machine: str = "") -> bytes:
    """The filter for a machine, without a name for this one; LookupError where its numbers are not known."""
    machine = machine or platform.machine()
    if machine not in MACHINES:
        raise LookupError(
            f"the sandbox knows the machines {', '.join(MACHINES)}; this one is {machine}"
        )
    column, name = MACHINES[machine]
    refused = [numbers[column] for numbers in REFUSED.values()]
    steps = [(LOAD, 0, 0, MACHINE_AT), (EQUAL, 1, 0, name), (RETURN, 0, 0, KILL)]
    steps += [(LOAD, 0, 0, NUMBER_AT)]
    if machine == "x86_64":
        steps += _when(AT_LEAST, X32, ERROR | errno.EPERM)
    # "no such call", upon which the C library takes clone, which is refused below
    steps += _when(EQUAL, CLONE3, ERROR | errno.ENOSYS)
    for number in refused:
        if number is not None:
            steps += _when(EQUAL, number, ERROR | errno.EPERM)
    steps += [(RETURN, 0, 0, ALLOW)]
    return b"".join(struct.pack("HBBI", *step) for step in steps)


def _when(test: int, number: int, answer: int) -> list[tuple[int, int, int, int]]:
    """Answer so when the number of the call passes the test; otherwise go on."""
    return [(test, 0, 1, number), (RETURN, 0, 0, answer)]
