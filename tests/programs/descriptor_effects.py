"""What calls do with a socket's descriptor that were not made for sockets: one line a scenario, to be compared with plain Linux.

Run by options_test.py on both. Nothing here is about time: what is on its way is waited for.
"""

import array
import contextlib
import ctypes
import errno
import fcntl
import os
import select
import signal
import socket
import stat
import sys
import termios
import threading

LIBC = ctypes.CDLL(None, use_errno=True)
SPLICE_F_NONBLOCK = 2
SIOCATMARK, SIOCOUTQNSD = 0x8905, 0x894B
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


def splice(source, target, size, flags=0, source_offset=None, target_offset=None):
    one, other = (offset if offset is None else ctypes.byref(ctypes.c_int64(offset)) for offset in (source_offset, target_offset))
    LIBC.splice.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_uint]
    return libc("splice", source if isinstance(source, int) else source.fileno(), one,
                target if isinstance(target, int) else target.fileno(), other, size, flags)


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


def splice_between_pipes_and_streams():
    near, far = connection()
    out, into = os.pipe()
    os.write(into, b"to the stream")
    yield splice(out, near, 6), far.recv(100)
    yield splice(out, near, 100), far.recv(100)
    yield splice(out, near, 100, SPLICE_F_NONBLOCK)
    near.send(b"to the pipe")
    comes(far)
    yield splice(far, into, 6), splice(far, into, 100), os.read(out, 100)
    far.setblocking(False)
    yield splice(far, into, 100)
    far.setblocking(True)
    waiting = threading.Timer(0.05, near.send, (b"late",))
    waiting.start()
    yield splice(far, into, 100), os.read(out, 100)
    waiting.join()
    near.shutdown(socket.SHUT_WR)
    comes(far)
    yield splice(far, into, 100)
    waiting = threading.Timer(0.05, os.write, (into, b"late, too"))
    waiting.start()
    yield splice(out, far, 100), near.recv(100)
    waiting.join()
    os.close(into)
    yield splice(out, far, 100)
    far.close()
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    yield splice(out, near, 0)


def splice_of_much():
    near, far = connection()
    out, into = os.pipe()
    data = bytes(range(256)) * 4000
    got = bytearray()

    def read():
        while piece := far.recv(1 << 16):
            got.extend(piece)

    reader = threading.Thread(target=read)
    reader.start()
    for at in range(0, len(data), 50_000):
        waiting = os.write(into, data[at:at + 50_000])
        while waiting > 0:
            waiting -= splice(out, near, 1 << 20)
    near.shutdown(socket.SHUT_WR)
    reader.join()
    yield bytes(got) == data
    # And back, into a pipe that is full at times.
    writer = threading.Thread(target=lambda: (far.sendall(data), far.shutdown(socket.SHUT_WR)))
    writer.start()
    back = bytearray()

    def empty():
        while piece := os.read(out, 30_000):
            back.extend(piece)

    reader = threading.Thread(target=empty)
    reader.start()
    while splice(near, into, 200_000) != 0:
        pass
    os.close(into)
    reader.join()
    writer.join()
    yield bytes(back) == data


def splice_of_datagrams():
    one, other = datagrams()
    out, into = os.pipe()
    os.write(into, b"a datagram")
    yield splice(out, one, 100), other.recv(100)
    one.send(b"another one")
    one.send(b"")
    comes(other)
    yield splice(other, into, 7), os.read(out, 100)
    other.settimeout(20)
    yield splice(other, into, 100), other.gettimeout()


def splice_that_is_wrong():
    near, far = connection()
    out, into = os.pipe()
    file = os.memfd_create("a file")
    yield splice(near, far, 10), splice(near, file, 10), splice(file, near, 10), splice(999, near, 10), splice(near, 999, 10)
    yield splice(into, near, 10), splice(near, out, 10), splice(out, near, 10, 64)
    yield splice(out, near, 10, 0, 0), splice(out, near, 10, 0, None, 0), splice(near, into, 10, 0, 0), splice(near, into, 10, 0, None, 0)
    os.write(into, b"x" * 65536)
    far.send(b"no room")
    comes(near)
    yield splice(near, into, 10, SPLICE_F_NONBLOCK), near.recv(100)
    fresh = socket.socket()
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    yield splice(fresh, into, 10, SPLICE_F_NONBLOCK), splice(out, fresh, 10)
    os.read(out, 65536)
    yield splice(fresh, into, 10), libc("tee", near.fileno(), into, 10, 0), libc("tee", out, near.fileno(), 10, 0)


def sendfile():
    near, far = connection()
    out, _ = os.pipe()
    file = os.memfd_create("a file")
    os.write(file, b"0123456789")
    yield os.sendfile(near.fileno(), file, 5, 3), far.recv(100), attempt(os.sendfile, near.fileno(), file, 500, 20)
    os.lseek(file, 3, os.SEEK_SET)
    yield attempt(os.sendfile, near.fileno(), file, -1, 20), os.sendfile(near.fileno(), file, None, 4), far.recv(100), os.lseek(file, 0, os.SEEK_CUR)
    for source in (out, os.open("/", os.O_RDONLY), 999):
        yield attempt(os.sendfile, near.fileno(), source, None, 4)
    yield attempt(os.sendfile, file, near.fileno(), 0, 4)


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


SCENARIOS = [value for value in list(globals().values())
             if callable(value) and getattr(value, "__code__", None) and value.__code__.co_flags & 0x20]  # generators

if __name__ == "__main__":
    signal.alarm(60)
    for scenario in SCENARIOS:
        if sys.argv[1:] and scenario.__name__ not in sys.argv[1:]:
            continue
        seen = []
        with contextlib.suppress(StopIteration):
            try:
                for observation in scenario():
                    seen.append(observation)
            except Exception as problem:
                seen.append(repr(problem))
        print(f"{scenario.__name__}: {seen}", flush=True)
