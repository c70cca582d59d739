"""What memory is used, as /proc says."""

import contextlib


def amount(file, key):
    """KiB in the line that begins with the key."""
    with open(file, encoding="ascii", errors="replace") as lines:
        return next((int(line.split()[1]) for line in lines if line.startswith(key + ":")), 0)


def memory_kib(processes):
    """The proportional set size of these processes, which is their private pages and of each shared one the part that falls to them,
    with the page tables that they need. A process that is gone counts as nothing."""
    total = 0
    for pid in processes:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            total += amount(f"/proc/{pid}/smaps_rollup", "Pss") + amount(f"/proc/{pid}/status", "VmPTE")
    return total


def slab_kib():
    """What the kernel keeps in objects, sockets and their kin among them: of the whole machine, so it wants a quiet one."""
    return amount("/proc/meminfo", "Slab")
