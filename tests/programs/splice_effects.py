"""What splice(2) and sendfile(2) move between sockets, pipes and files: one line a scenario, to be compared with plain Linux.

Run by options_test.py on both. Nothing here is about time: what is on its way is waited for.
"""

import ctypes
import os
import signal
import socket
import sys
import threading

from descriptor_effects import LIBC, attempt, comes, connection, datagrams, libc
from scenarios import run_all

SPLICE_F_NONBLOCK = 2


def splice(source, target, size, flags=0, source_offset=None, target_offset=None):
    one, other = (offset if offset is None else ctypes.byref(ctypes.c_int64(offset)) for offset in (source_offset, target_offset))
    LIBC.splice.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_uint]
    return libc("splice", source if isinstance(source, int) else source.fileno(), one,
                target if isinstance(target, int) else target.fileno(), other, size, flags)


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


def splice_of_a_pipe_that_is_open_for_both():
    near, far = connection()
    out, into = os.pipe()
    both = os.open(f"/proc/self/fd/{out}", os.O_RDWR)
    os.write(into, b"to the stream")
    yield splice(both, near, 6), far.recv(100)
    yield splice(both, near, 100), far.recv(100)
    yield splice(both, near, 100, SPLICE_F_NONBLOCK)
    near.send(b"to the pipe")
    comes(far)
    yield splice(far, both, 100), os.read(out, 100)


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
    comes(other)
    other.settimeout(20)
    yield splice(other, into, 100), other.gettimeout()


def splice_by_two():
    """Of one stream into two pipes, and of one pipe into one stream, which others can use meanwhile."""
    near, far = connection()
    pipes = [os.pipe(), os.pipe()]
    data = b"".join(b"%07d\n" % number for number in range(20_000))
    got = [bytearray(), bytearray()]

    def take(mine, out, into):
        while (moved := splice(near, into, 4096)) != 0:
            mine.extend(os.read(out, moved))

    def in_two(work, *arguments):
        both = [threading.Thread(target=work, args=each) for each in zip(*arguments)]
        for one in both:
            one.start()
        return both

    readers = in_two(take, got, *zip(*pipes))
    far.sendall(data)
    far.shutdown(socket.SHUT_WR)
    for one in readers:
        one.join()
    yield len(got[0]) + len(got[1]) == len(data), sum(got[0]) + sum(got[1]) == sum(data)

    near, far = connection()
    near.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    out, into = os.pipe()

    def give(_):
        while splice(out, near, 10) != 0:
            pass

    writers = in_two(give, range(2))
    for _ in range(300):
        os.write(into, b"x")
        far.recv(1)
    near.send(b"meanwhile")
    yield far.recv(100)
    os.close(into)
    for one in writers:
        one.join()


def splice_to_who_cannot_send():
    out, into = os.pipe()
    os.write(into, b"kept")
    nobody, full = socket.socket(socket.AF_INET, socket.SOCK_DGRAM), socket.socket()
    yield splice(out, nobody, 10), os.read(out, 100)
    one, other = datagrams()
    os.write(into, b"not so large")
    one.shutdown(socket.SHUT_WR)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    yield splice(out, one, 10), splice(out, full, 10), os.read(out, 100)


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
    one, other = datagrams()
    yield os.sendfile(one.fileno(), file, 5, 3), other.recv(100), os.sendfile(one.fileno(), file, 8, 100), other.recv(100)
    yield os.sendfile(one.fileno(), file, 10, 4), os.sendfile(one.fileno(), file, 0, 0), os.lseek(file, 0, os.SEEK_CUR)
    nobody = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    yield attempt(os.sendfile, nobody.fileno(), file, 0, 4), os.sendfile(nobody.fileno(), file, 10, 4)
    os.ftruncate(file, 65508)
    yield attempt(os.sendfile, one.fileno(), file, 0, 65508)


if __name__ == "__main__":
    run_all(sys.modules[__name__])
