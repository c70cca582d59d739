"""What is kept back before it is sent, and a close() that waits for what was: one line a scenario, to be compared with plain
Linux.

Run by options_test.py on both. Nothing here is about time: what shall not be there yet is looked at when something later is.
"""

import contextlib
import ctypes
import errno
import itertools
import select
import socket
import struct
import sys
import threading
import time

from scenarios import run_all
from socket_pairs import attempt, connection, datagrams, says

UDP_CORK = 1


def datagrams_are_kept_back():
    one, other = datagrams()
    one.connect(other.getsockname())
    third = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    third.bind(("127.0.0.1", 0))
    third.settimeout(20)
    yield one.send(b"in ", socket.MSG_MORE), one.send(b"one ", socket.MSG_MORE), one.send(b"piece"), other.recv(100)
    yield one.send(b"to the first", socket.MSG_MORE), one.sendto(b" alone", third.getsockname()), other.recv(100)
    yield one.send(b"", socket.MSG_MORE), one.send(b""), other.recv(100)
    one.setsockopt(socket.IPPROTO_UDP, UDP_CORK, 1)
    yield one.getsockopt(socket.IPPROTO_UDP, UDP_CORK), one.send(b"a"), one.send(b"b"), says(other, select.POLLIN)
    one.setsockopt(socket.IPPROTO_UDP, UDP_CORK, 0)
    yield other.recv(100), one.send(b"c"), other.recv(100)
    yield one.send(b"x" * 40000, socket.MSG_MORE), attempt(one.send, b"y" * 40000), one.send(b"z"), other.recv(100)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as lost:
        lost.sendto(b"never sent", socket.MSG_MORE, third.getsockname())
        yield lost.getsockname()[1] != 0
    one.sendto(b"the only one", third.getsockname())
    yield third.recv(100)
    near, _ = connection()
    yield attempt(near.setsockopt, socket.IPPROTO_UDP, UDP_CORK, 1), attempt(near.getsockopt, socket.IPPROTO_UDP, UDP_CORK)


def connect_leads_them_elsewhere():
    for family, prefix in ((socket.AF_INET, ""), (socket.AF_INET6, "::ffff:")):
        peers = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]
        for peer in peers:
            peer.bind(("127.0.0.1", 0))
            peer.settimeout(20)
        first, second = ((prefix + peer.getsockname()[0], peer.getsockname()[1]) for peer in peers)
        one = socket.socket(family, socket.SOCK_DGRAM)
        one.connect(first)
        yield one.send(b"for the second", socket.MSG_MORE), one.connect(second), one.send(b" one"), peers[1].recv(100)
        # A connect() that names nobody changes nothing of it.
        yield one.send(b"still", socket.MSG_MORE), disconnect(one), attempt(one.send, b" there"), peers[1].recv(100)
        yield one.sendto(b"still", socket.MSG_MORE, first), one.connect((prefix + "127.0.0.1", 9)), disconnect(one), one.connect(second), one.sendto(b" second", first), peers[1].recv(100)
        one.setsockopt(socket.IPPROTO_UDP, UDP_CORK, 1)
        yield one.send(b"corked"), one.connect(first), one.setsockopt(socket.IPPROTO_UDP, UDP_CORK, 0), peers[0].recv(100)
        yield [says(peer, select.POLLIN) for peer in peers]


def disconnect(one):
    """connect() to AF_UNSPEC, which Python has no words for."""
    return ctypes.CDLL(None).connect(one.fileno(), bytes(16), 16)


def where_the_rest_shall_go_is_not_read():
    libc = ctypes.CDLL(None, use_errno=True)
    for family, prefix in ((socket.AF_INET, ""), (socket.AF_INET6, "::ffff:")):
        for of, length in ((77, 28), (socket.AF_INET, 16), (socket.AF_INET, 3), (socket.AF_UNSPEC, 16), (socket.AF_INET6, 28), (socket.AF_INET6, 10)):
            one, other = datagrams()
            one = socket.socket(family, socket.SOCK_DGRAM)
            address = struct.pack("H26x", of)
            alone = libc.sendto(one.fileno(), b"x", 1, 0, address, length), ctypes.get_errno()
            one.sendto(b"the beginning", socket.MSG_MORE, (prefix + other.getsockname()[0], other.getsockname()[1]))
            sent = libc.sendto(one.fileno(), b" and the rest", 13, 0, address, length)
            yield alone, sent, other.recv(100) if sent > 0 else ctypes.get_errno()


def connect_to_where_nothing_leads_loses_them():
    libc = ctypes.CDLL(None, use_errno=True)
    nowhere = struct.pack("=HH4s8x", socket.AF_INET, socket.htons(9), socket.inet_aton("240.0.0.1"))
    unreachable6 = struct.pack("=HHI16s4x", socket.AF_INET6, socket.htons(9), 0, socket.inet_pton(socket.AF_INET6, "2001:db8::1"))
    for family, prefix in ((socket.AF_INET, ""), (socket.AF_INET6, "::ffff:")):
        first, second = datagrams()
        to_first, to_second = ((prefix + "127.0.0.1", peer.getsockname()[1]) for peer in (first, second))
        # Of these the last three lose nothing.
        for address, length in ((nowhere, 16), (nowhere, 8), (struct.pack("H26x", 77), 28), (unreachable6, 28)):
            for connected, corked in itertools.product((False, True), (False, True)):
                one = socket.socket(family, socket.SOCK_DGRAM)
                if connected:
                    one.connect(to_first)
                one.setsockopt(socket.IPPROTO_UDP, UDP_CORK, corked)
                kept = one.sendto(b"lost", 0 if corked else socket.MSG_MORE, to_first)
                failed = libc.connect(one.fileno(), address, length), errno.errorcode[ctypes.get_errno()]
                if corked:
                    one.setsockopt(socket.IPPROTO_UDP, UDP_CORK, 0)
                rest = one.sendto(b" and", to_first)
                after = one.sendto(b"after it", to_first), one.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                got = []
                while not got or got[-1] != b"after it":
                    got.append(first.recv(100))
                yield kept, failed, rest, after, got
                # A peer that is found then gets it.
                one.sendto(b"not", socket.MSG_MORE, to_first)
                libc.connect(one.fileno(), address, length)
                yield one.connect(to_second), one.send(b" lost"), second.recv(100), says(first, select.POLLIN)


def a_close_lingers():
    near, far = connection()
    near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 100))
    near.setblocking(False)
    sent = 0
    for _ in range(2):  # what is on its way makes room once more
        with contextlib.suppress(BlockingIOError):
            while True:
                sent += near.send(bytes(1 << 16))
        select.select([], [near], [], 0.5)
    got = []

    def read():
        while piece := far.recv(1 << 16):
            got.append(len(piece))
            time.sleep(0.001)

    begun = threading.Timer(0.3, read)
    begun.start()
    near.close()  # until the other side has it all, which its reading lets it have
    yield len(got) > 0
    begun.join()
    yield sum(got) == sent

    near, far = connection()
    near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 1))
    near.settimeout(0.5)
    with contextlib.suppress(TimeoutError):
        while True:
            near.sendall(bytes(1 << 20))
    begun = time.monotonic()
    near.close()
    yield 0.9 < time.monotonic() - begun < 15
    near, far = connection()
    near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 100))
    near.send(b"little")
    copy = near.dup()
    near.close()
    yield copy.send(b" more"), copy.close(), far.recv(6, socket.MSG_WAITALL), far.recv(100)

    near, far = connection()
    near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 100))
    one, other = socket.socketpair()
    socket.send_fds(one, [b"a socket"], [near.fileno()])
    near.close()  # it is on its way, so nobody waits and nothing ends
    received = socket.socket(fileno=socket.recv_fds(other, 100, 1)[1][0])
    yield received.send(b"goes on"), far.recv(100)


if __name__ == "__main__":
    run_all(sys.modules[__name__])
