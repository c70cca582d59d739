"""What /proc says: who runs, who started whom, how much processor time they used."""

import contextlib
import os
from pathlib import Path


def pids():
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def executables(folder):
    """Processes whose executable lies in the folder."""
    for pid in pids():
        with contextlib.suppress(OSError):
            if Path(os.readlink(f"/proc/{pid}/exe")).parent == folder:
                yield pid


def holders_of_environment(entry):
    """Processes whose environment has exactly this KEY=VALUE; not the asking one."""
    wanted = entry.encode()
    for pid in pids():
        with contextlib.suppress(OSError), open(f"/proc/{pid}/environ", "rb") as file:
            if pid != os.getpid() and wanted in file.read().split(b"\0"):
                yield pid


def kernel_threads(name):
    found = []
    for pid in pids():
        with contextlib.suppress(OSError), open(f"/proc/{pid}/comm", encoding="ascii", errors="replace") as comm:
            if comm.read() == name + "\n":
                found.append(pid)
    return found


def descendants(pid):
    """The process and everyone it has started that is still there."""
    found = [pid]
    for parent in found:
        with contextlib.suppress(OSError):
            for task in os.listdir(f"/proc/{parent}/task"):
                with open(f"/proc/{parent}/task/{task}/children", encoding="ascii") as file:
                    found += [int(child) for child in file.read().split()]
    return found


def cpu_ns(processes):
    """Time on a processor of every thread of these processes so far, to the nanosecond: the steadiest figure on a noisy
    machine. A process that is gone counts as nothing."""
    total = 0
    for pid in processes:
        with contextlib.suppress(OSError):
            for task in os.listdir(f"/proc/{pid}/task"):
                with contextlib.suppress(OSError), open(f"/proc/{pid}/task/{task}/schedstat", encoding="ascii") as file:
                    total += int(file.read().split()[0])
    return total
