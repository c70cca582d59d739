"""libc's calls that end in a system call which nobody can interpose, and system calls by their number: one line a scenario, to be compared with
plain Linux.

Run by options_test.py on both.
"""

import ctypes
import errno
import os
import select
import socket
import stat
import sys

from ends import Child, connected, sees
from scenarios import run_all
from socket_pairs import LIMIT_MS, says

LIBC = ctypes.CDLL(None, use_errno=True)
PYTHON = b"/usr/bin/python3"
SYS_EXECVE, SYS_EXECVEAT, SYS_FORK, SYS_PREADV2, SYS_PWRITEV2 = 59, 322, 57, 327, 328
AT_FDCWD, AT_EMPTY_PATH, RWF_NOWAIT = -100, 0x1000, 8


def libc(name, *arguments):
    ctypes.set_errno(0)
    result = getattr(LIBC, name)(*arguments)
    return result if result >= 0 else errno.errorcode[ctypes.get_errno()]


def strings(*words):
    return (ctypes.c_char_p * (len(words) + 1))(*words, None)


class Piece(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


def at_the_mark():
    near, far = connected()
    yield libc("sockatmark", far.fileno()), libc("sockatmark", 999), libc("sockatmark", os.pipe()[0])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        yield libc("sockatmark", datagrams.fileno())
    near.send(b"before")
    near.send(b"!", socket.MSG_OOB)
    near.send(b"behind")
    select.select([], [], [far], 20)
    yield libc("sockatmark", far.fileno()), far.recv(100), libc("sockatmark", far.fileno())
    yield far.recv(100), libc("sockatmark", far.fileno())


def on_standard_numbers(work):
    """What a child says, after `work` with a socket on 0, 1 and 2 and as its argument what it may say more by; and then what the peer of that socket sees."""
    peer, mine = connected()
    told, tells = connected()

    def replace(_):
        for number in range(3):
            os.dup2(mine.fileno(), number)
        for one in (peer, mine, told):
            one.close()
        work(lambda *words: tells.sendall(repr(words).encode()))
        tells.recv(1)

    child = Child(replace)
    mine.close()
    tells.close()
    seen = sees(told), sees(peer)
    told.close()
    return *seen, child.reap()


def daemons():
    def as_daemon(keeps):
        def work(say):
            result = libc("daemon", 0, keeps)
            os.write(1, b"to whom it may concern")
            say(result, stat.S_ISCHR(os.fstat(0).st_mode), stat.S_ISSOCK(os.fstat(2).st_mode), os.getcwd(), os.getsid(0) == os.getpid())
        return work

    yield on_standard_numbers(as_daemon(0))
    yield on_standard_numbers(as_daemon(1))


def terminals():
    def login(say):
        ours, theirs = os.openpty()
        result = libc("login_tty", theirs)
        os.write(1, b"typed")
        say(result, [os.isatty(number) for number in range(3)], os.read(ours, 5), libc("login_tty", 999), theirs == os.dup(0))

    def fork(say):
        ours = ctypes.c_int(-1)
        child = LIBC.forkpty(ctypes.byref(ours), None, None, None)
        if child == 0:
            os.write(1, b"%d" % os.isatty(2))
            os._exit(0)
        os.waitpid(child, 0)
        say(os.read(ours.value, 1), [os.isatty(number) for number in (0, 1, 2, ours.value)])
        for number in range(3):  # so that its peer sees an end
            os.close(number)

    yield on_standard_numbers(login)
    yield on_standard_numbers(fork)


def programs_without_an_environment():
    """What they are given is theirs, and their sockets work."""
    def execute(fd, name, *arguments):
        code = b"import socket, sys; socket.socket(fileno=int(sys.argv[1])).sendall(b'from within'); socket.socket().close()"
        call = {"execve": lambda words, nothing: LIBC.syscall(SYS_EXECVE, PYTHON, words, nothing),
                "execveat": lambda words, nothing: LIBC.syscall(SYS_EXECVEAT, AT_FDCWD, PYTHON, words, nothing, 0),
                "of libc": lambda words, nothing: LIBC.execveat(os.open(PYTHON, os.O_RDONLY), b"", words, nothing, AT_EMPTY_PATH)}[name]
        os.set_inheritable(fd, True)
        call(strings(PYTHON, b"-Ic", code, b"%d" % fd), strings())

    for name in ("execve", "execveat", "of libc"):
        peer, mine = connected()
        child = Child(lambda _, given=mine.fileno(), how=name: execute(given, how))
        mine.close()
        yield sees(peer), sees(peer), child.reap()


def vectors_by_number():
    near, far = connected()
    text, room = ctypes.create_string_buffer(b"by number", 9), ctypes.create_string_buffer(9)
    given, taken = (Piece(ctypes.addressof(one), 9) for one in (text, room))

    def by_number(number, one, piece, offset, flags=0):
        return libc("syscall", number, one.fileno(), ctypes.byref(piece), 1, ctypes.c_long(offset), 0, flags)

    yield by_number(SYS_PREADV2, near, taken, -1, RWF_NOWAIT), by_number(SYS_PREADV2, near, taken, 0), by_number(SYS_PWRITEV2, far, given, 0)
    yield by_number(SYS_PWRITEV2, far, given, -1), says(near, select.POLLIN, LIMIT_MS), by_number(SYS_PREADV2, near, taken, -1), room.raw


def a_fork_by_number():
    peer, mine = connected()
    child = LIBC.syscall(SYS_FORK)
    if child == 0:
        peer.close()
        mine.sendall(b"the child's")
        os._exit(mine.recv(1) != b"")
    mine.close()
    yield sees(peer), peer.shutdown(socket.SHUT_WR), sees(peer), os.waitpid(child, 0)[1]


if __name__ == "__main__":
    run_all(sys.modules[__name__])
