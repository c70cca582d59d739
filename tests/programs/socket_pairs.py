"""Sockets in pairs and what can be asked of them: what the programs are made of that options_test.py compares with plain Linux."""

import array
import errno
import fcntl
import select
import socket
import struct
import termios
import time

IP_TOS, IP_TTL, IP_PKTINFO, IP_RECVTTL, IP_RECVTOS = 1, 2, 8, 12, 13
SO_TIMESTAMP, SO_TIMESTAMPNS = 29, 35
LIMIT_MS = 20_000


def number(value):
    return struct.pack("i", value)


def attempt(call, *arguments):
    """What it gives, or the name of its errno."""
    try:
        return call(*arguments)
    except OSError as problem:
        return errno.errorcode.get(problem.errno, problem.errno)


def datagrams(family=socket.AF_INET):
    """Two sockets that are bound to the loopback."""
    pair = [socket.socket(family, socket.SOCK_DGRAM) for _ in range(2)]
    for one in pair:
        one.bind(("127.0.0.1" if family == socket.AF_INET else "::ffff:127.0.0.1", 0))
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 20, 0))
    return pair


def connection():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        near = socket.create_connection(listener.getsockname())
        far, _ = listener.accept()
    return near, far


def says(one, wanted=select.POLLIN | select.POLLOUT | select.POLLPRI, patience_ms=0):
    """poll()'s word, as soon as there is one."""
    poll = select.poll()
    poll.register(one, wanted)
    return [hex(events) for _, events in poll.poll(patience_ms)]


def waits(one, size):
    """Returns once so many bytes are there to be read."""
    for _ in range(LIMIT_MS):
        there = array.array("i", [0])
        fcntl.ioctl(one, termios.FIONREAD, there)
        if there[0] == size:
            return
        time.sleep(0.001)
    raise TimeoutError(f"{there[0]} of {size} bytes came")


def beside(message):
    """Control data as (level, type, bytes); times only as whether they are about now."""
    told = []
    for level, kind, data in message[1]:
        if (level, kind) in ((socket.SOL_SOCKET, SO_TIMESTAMP), (socket.SOL_SOCKET, SO_TIMESTAMPNS)):
            data = abs(struct.unpack("qq", data)[0] - time.time()) < 3600
        told.append((level, kind, data if isinstance(data, bool) else data.hex()))
    return told
