"""What a peer sees of the children that clone(2) and _Fork(3) make: one line a scenario, to be compared with plain Linux.

Run by processes_test.py on both. Nothing here is about time: that a connection is still open is shown by what its holder answers.
"""

import contextlib
import ctypes
import os
import signal
import socket
import sys

from ends import asked, connected, echo, sees
from scenarios import run_all

LIBC = ctypes.CDLL(None)
CLONE_VM, CLONE_FILES, CLONE_VFORK = 0x100, 0x400, 0x4000
STACK_BYTES = 1 << 20


def clone(function, argument, flags):
    """A child of libc's clone(), for which no handler of pthread_atfork() runs; its stack is not given back."""
    LIBC.mmap.restype = ctypes.c_void_p
    stack = LIBC.mmap(None, ctypes.c_size_t(STACK_BYTES), 3, 0x22, -1, ctypes.c_long(0)) + STACK_BYTES
    return LIBC.clone(function, ctypes.c_void_p(stack), flags | signal.SIGCHLD, ctypes.c_void_p(argument))


def status_of(pid):
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def a_child_of_clone_closes():
    """In each of these but the last its own number alone."""
    for flags in (0, CLONE_VM, CLONE_VM | CLONE_VFORK, CLONE_VM | CLONE_FILES):
        peer, mine = connected()
        yield status_of(clone(LIBC.close, mine.fileno(), flags))
        with contextlib.suppress(OSError):
            mine.sendall(b"ours")
        yield sees(peer)
        LIBC.close(mine.detach())
        if not flags & CLONE_FILES:
            yield sees(peer)
        peer.close()


def a_child_of_clone_goes_on():
    peer, mine = connected()

    @ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)
    def child(_):
        echo(mine)
        os._exit(3)

    pid = clone(child, None, 0)
    mine.close()
    yield asked(peer)
    peer.shutdown(socket.SHUT_WR)
    yield status_of(pid), sees(peer)


def a_child_of_clone_is_another_program():
    peer, mine = connected()

    @ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)
    def child(_):
        os.dup2(mine.fileno(), 0)
        os.dup2(mine.fileno(), 1)
        os.execv("/bin/cat", ["cat"])

    pid = clone(child, None, 0)
    mine.close()
    yield asked(peer)
    peer.shutdown(socket.SHUT_WR)
    yield status_of(pid), sees(peer)


def a_child_of_clone_starts_one():
    for flags in (0, CLONE_VM | CLONE_VFORK):
        peer, mine = connected()
        mine.set_inheritable(True)
        command = ctypes.create_string_buffer(b"echo by clone >&%d" % mine.fileno())
        yield status_of(clone(LIBC.system, ctypes.addressof(command), flags))
        mine.close()
        yield sees(peer), sees(peer)


def clone_that_fails():
    peer, mine = connected()
    LIBC.clone(None, None, signal.SIGCHLD, None)
    yield clone(LIBC.close, mine.fileno(), 0x800)  # CLONE_SIGHAND without CLONE_VM
    mine.sendall(b"still there")
    yield sees(peer)
    mine.close()
    yield sees(peer)


def a_child_without_handlers():
    """_Fork(), which may be called where fork() may not."""
    peer, mine = connected()
    pid = LIBC._Fork()
    if pid == 0:
        mine.close()
        os._exit(4)
    yield status_of(pid)
    mine.sendall(b"ours")
    yield sees(peer)
    pid = LIBC._Fork()
    if pid == 0:
        echo(mine)
        os._exit(5)
    mine.close()
    yield asked(peer)
    peer.shutdown(socket.SHUT_WR)
    yield status_of(pid), sees(peer)


if __name__ == "__main__":
    run_all(sys.modules[__name__])
