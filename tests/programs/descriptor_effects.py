"""What calls do with a socket's descriptor that were not made for sockets: one line a scenario, to be compared with plain Linux.

Run by options_test.py on both. Nothing here is about time: what is on its way is waited for.
"""

import array
import ctypes
import errno
import fcntl
import itertools
import os
import select
import socket
import stat
import struct
import sys
import termios
import time

from scenarios import run_all

LIBC = ctypes.CDLL(None, use_errno=True)
SIOCATMARK, SIOCGSTAMP, SIOCGSTAMPNS, SIOCOUTQNSD = 0x8905, 0x8906, 0x8907, 0x894B
SIOCSPGRP, SIOCGPGRP, SIOCGIFSLAVE, SIOCGARP = 0x8902, 0x8904, 0x8929, 0x8954
SIOCGIFNAME, SIOCGIFFLAGS, SIOCGIFADDR, SIOCGIFDSTADDR, SIOCGIFBRDADDR, SIOCGIFNETMASK = 0x8910, 0x8913, 0x8915, 0x8917, 0x8919, 0x891B
SIOCGIFMETRIC, SIOCGIFMTU, SIOCGIFHWADDR, SIOCGIFINDEX, SIOCGIFTXQLEN, SIOCGIFMAP = 0x891D, 0x8921, 0x8927, 0x8933, 0x8942, 0x8970
F_ADD_SEALS = 1033


def attempt(call, *arguments):
    """What it gives, or the name of its errno."""
    try:
        return call(*arguments)
    except OSError as problem:
        return errno.errorcode.get(problem.errno, problem.errno)


def libc(name, *arguments):
    ctypes.set_errno(0)
    result = getattr(LIBC, name)(*arguments)
    return result if result >= 0 else errno.errorcode[ctypes.get_errno()]


def connection():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        near = socket.create_connection(listener.getsockname())
        far, _ = listener.accept()
    return near, far


def datagrams():
    one, other = socket.socket(socket.AF_INET, socket.SOCK_DGRAM), socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    other.bind(("127.0.0.1", 0))
    one.connect(other.getsockname())
    return one, other


def number(one, request):
    there = array.array("i", [0])
    fcntl.ioctl(one, request, there)
    return there[0]


def comes(one):
    select.select([one], [], [], 20)


def what_files_have():
    near, far = connection()
    fd = near.fileno()
    for call in (lambda: os.lseek(fd, 0, os.SEEK_SET), lambda: os.ftruncate(fd, 0), lambda: os.fsync(fd), lambda: os.fdatasync(fd),
                 lambda: os.pread(fd, 1, 0), lambda: os.pwrite(fd, b"x", 0), lambda: os.preadv(fd, [bytearray(1)], 0), lambda: os.isatty(fd),
                 lambda: fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB), lambda: fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB),
                 lambda: stat.S_ISSOCK(os.fstat(fd).st_mode), lambda: os.fstat(fd).st_size, lambda: os.posix_fallocate(fd, 0, 1),
                 lambda: os.fchdir(fd), lambda: os.listdir(fd), lambda: fcntl.fcntl(fd, F_ADD_SEALS), lambda: os.copy_file_range(fd, fd, 1),
                 lambda: os.pwritev(fd, [b"with", b"out"], -1), lambda: far.recv(100), lambda: os.preadv(fd, [bytearray(1)], -1, os.RWF_NOWAIT)):
        yield attempt(call)
    for size, flags in ((1, 1 << 30), (0, 1 << 30), (1, os.RWF_DSYNC | os.RWF_NOWAIT)):
        yield attempt(os.preadv, fd, [bytearray(size)], -1, flags), attempt(os.pwritev, fd, [bytearray(size)], -1, flags & ~os.RWF_NOWAIT)
    yield [libc(call, fd, None, count, ctypes.c_int64(-1), 0) for call in ("preadv2", "pwritev2") for count in (0, -1)]
    far.recv(100)
    far.send(b"here")
    comes(near)
    there = [bytearray(2), bytearray(3)]
    yield os.preadv(fd, there, -1), there


def numbers_and_flags():
    near, _ = connection()
    fd = near.fileno()
    os.dup2(fd, 200)
    yield libc("dup3", fd, fd, 0), libc("dup3", fd, 201, os.O_CLOEXEC), fcntl.fcntl(201, fcntl.F_GETFD), libc("dup3", fd, 202, 1)
    yield libc("dup2", fd, 100_000_000), libc("dup2", 999, 5), libc("dup2", fd, -1), libc("dup2", 201, 201), fcntl.fcntl(201, fcntl.F_GETFD)
    yield fcntl.fcntl(near, fcntl.F_DUPFD, 300), attempt(fcntl.fcntl, near, fcntl.F_DUPFD, 1 << 30), fcntl.fcntl(near, fcntl.F_DUPFD_CLOEXEC, 300)
    yield libc("close_range", 300, 301, 4), fcntl.fcntl(300, fcntl.F_GETFD), libc("close_range", 300, 300, 0), attempt(fcntl.fcntl, 300, fcntl.F_GETFD)
    yield libc("close_range", 300, 100, 0), libc("close_range", 300, 301, 64)
    yield [number for number in (200, 201, 202, 300, 301) if os.path.exists(f"/proc/self/fd/{number}")]
    for flags in (os.O_NONBLOCK, os.O_DIRECT, os.O_NONBLOCK | os.O_CREAT | os.O_TRUNC):
        yield attempt(fcntl.fcntl, near, fcntl.F_SETFL, flags), fcntl.fcntl(near, fcntl.F_GETFL)


def questions():
    near, far = connection()
    one, other = datagrams()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        for asked in (termios.FIONREAD, termios.TIOCOUTQ, SIOCOUTQNSD, SIOCATMARK, termios.TCGETS):
            yield [attempt(number, who, asked) for who in (near, one, listener, socket.socket())]
    near.send(b"abc")
    one.send(b"abcd")
    comes(far)
    comes(other)
    yield number(far, termios.FIONREAD), number(other, termios.FIONREAD), number(near, SIOCOUTQNSD)
    yield attempt(one.send, b"urgent", socket.MSG_OOB), attempt(other.recv, 2, socket.MSG_OOB)


def when_a_datagram_came():
    one, other = datagrams()
    near, _ = connection()

    def age(who, request=SIOCGSTAMP, part=1e6):
        seconds, rest = struct.unpack("ll", fcntl.ioctl(who, request, bytes(16)))
        return 0 <= time.time() - seconds - rest / part < 20

    yield attempt(age, near), attempt(age, other), attempt(age, one)
    one.send(b"first")
    yield other.recv(100), age(other), age(other, SIOCGSTAMPNS, 1e9)
    one.send(b"second")
    yield other.recv(100), age(other), attempt(age, one)


def interfaces():
    """Any socket is asked, but for addresses those of AF_INET alone."""
    families = ((socket.AF_INET, socket.SOCK_STREAM), (socket.AF_INET, socket.SOCK_DGRAM), (socket.AF_INET6, socket.SOCK_STREAM), (socket.AF_UNIX, socket.SOCK_DGRAM),
                (socket.AF_NETLINK, socket.SOCK_RAW))
    sockets = [socket.socket(*family) for family in families]
    for request in (SIOCGIFFLAGS, SIOCGIFADDR, SIOCGIFDSTADDR, SIOCGIFBRDADDR, SIOCGIFNETMASK, SIOCGIFMETRIC, SIOCGIFMTU, SIOCGIFHWADDR, SIOCGIFINDEX, SIOCGIFTXQLEN, SIOCGIFMAP):
        for name in (b"lo", b"none"):
            yield hex(request), name, [attempt(fcntl.ioctl, one, request, struct.pack("16s24x", name)) for one in sockets]
    yield [attempt(fcntl.ioctl, one, SIOCGIFNAME, struct.pack("16si20x", b"", 1)) for one in sockets], attempt(fcntl.ioctl, os.pipe()[0], SIOCGIFFLAGS, bytes(40))
    for family, hardware, flags, name in itertools.product((socket.AF_INET, 0), (0, 1, 772), (0, 2, 0x20), (b"lo", b"", b"none")):
        request = struct.pack("=H14xH14xi16x16s", family, hardware, flags, name)
        yield "neighbour", family, hardware, flags, name, [attempt(fcntl.ioctl, one, SIOCGARP, request) for one in sockets]


def requests_without_an_argument():
    near, _ = connection()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        for request in (*range(0x5401, 0x5424), SIOCATMARK, SIOCSPGRP, SIOCGPGRP, SIOCGSTAMP, SIOCOUTQNSD, SIOCGIFFLAGS, SIOCGIFSLAVE, 0xdead):
            yield hex(request), [attempt(fcntl.ioctl, one, request, 0) for one in (near, listener, datagrams()[0])]


if __name__ == "__main__":
    run_all(sys.modules[__name__])
