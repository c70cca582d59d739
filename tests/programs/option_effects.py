"""What options keep, and when they have a socket read, accepted and told of: one line a scenario, to be compared with plain
Linux.

Run by options_test.py on both. Nothing here is about time: what shall not be there yet is looked at when something later is.
"""

import select
import socket
import struct
import sys
import threading

from scenarios import run_all
from socket_pairs import IP_TOS, IP_TTL, LIMIT_MS, attempt, connection, datagrams, says, waits

IP_RECVERR, SO_SELECT_ERR_QUEUE = 11, 45


def what_is_kept():
    for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
        for level, option, values in ((0, IP_TTL, (-1, 0, 1, 255, 256)), (0, IP_TOS, (-1, 0, 1, 255, 256, 300)),
                                      (socket.SOL_SOCKET, socket.SO_RCVLOWAT, (0, 1, 100, 4000)),
                                      (socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, (-1, 1, 255, 256)),
                                      (socket.IPPROTO_IPV6, socket.IPV6_TCLASS, (-1, 1, 255, 256))):
            for value in values:
                with socket.socket(socket.AF_INET6 if level == socket.IPPROTO_IPV6 else socket.AF_INET, kind) as one:
                    yield attempt(one.setsockopt, level, option, value), attempt(one.getsockopt, level, option)
    for option, values in ((socket.TCP_DEFER_ACCEPT, (-1, 0, 1, 2, 5, 30, 200, 100000)), (socket.TCP_SYNCNT, (-1, 0, 1, 127, 128))):
        for value in values:
            with socket.socket() as one:
                yield attempt(one.setsockopt, socket.IPPROTO_TCP, option, value), one.getsockopt(socket.IPPROTO_TCP, option)
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1 << 20)
        yield one.getsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT)


def a_stream_is_worth_reading_from_so_many_bytes_on():
    near, far = connection()
    level, edge = select.epoll(), select.epoll()
    level.register(far, select.EPOLLIN)
    edge.register(far, select.EPOLLIN | select.EPOLLET)

    def all_say():
        return says(far), select.select([far], [], [], 0)[0] != [], [hex(e) for _, e in level.poll(0)], [hex(e) for _, e in edge.poll(0)]

    far.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 10)
    near.sendall(b"12345")
    waits(far, 5)
    yield all_say()
    far.setblocking(False)
    yield far.recv(3)
    near.sendall(b"6789012")
    waits(far, 9)
    yield all_say()
    near.sendall(b"3")
    waits(far, 10)
    yield all_say(), all_say()
    yield far.recv(4)
    yield all_say()
    far.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 6)
    yield all_say()
    far.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 100)
    yield all_say()
    near.shutdown(socket.SHUT_WR)
    yield says(far, select.POLLIN, LIMIT_MS)
    yield far.recv(100), far.recv(100)


def a_read_waits_for_so_many_bytes():
    near, far = connection()
    far.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 8)

    def later():
        waits(far, 0)  # the read has taken what was there
        near.sendall(b"defghijk")  # as many again: Linux counts from what was read

    near.sendall(b"abc")
    waits(far, 3)
    writer = threading.Thread(target=later)
    writer.start()
    yield far.recv(100)
    writer.join()
    near.sendall(b"abc")
    waits(far, 3)
    yield far.recv(3)
    near.sendall(b"xyz")
    waits(far, 3)
    far.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 0, 100_000))
    yield far.recv(100), attempt(far.recv, 100)


def what_was_accepted_has_it_too():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 4)
        listener.setsockopt(socket.IPPROTO_IP, IP_TTL, 9)
        near = socket.create_connection(listener.getsockname())
        far, _ = listener.accept()
    near.sendall(b"abc")
    waits(far, 3)
    yield says(far), far.getsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT), far.getsockopt(socket.IPPROTO_IP, IP_TTL)


def more_than_a_window_is_read_at_last():
    near, far = connection()
    far.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 200_000)
    writer = threading.Thread(target=near.sendall, args=(b"x" * 200_000,))
    writer.start()
    yield says(far, select.POLLIN, LIMIT_MS)
    yield len(far.recv(300_000)) >= 200_000
    writer.join()


def who_says_nothing_is_not_accepted_yet():
    with socket.create_server(("127.0.0.1", 0)) as patient, socket.create_server(("127.0.0.1", 0)) as eager:
        patient.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 60)
        near = socket.create_connection(patient.getsockname())
        other = socket.create_connection(eager.getsockname())
        yield says(eager, select.POLLIN, LIMIT_MS), says(patient, select.POLLIN)
        near.sendall(b"hello")
        yield says(patient, select.POLLIN, LIMIT_MS)
        far, _ = patient.accept()
        yield far.recv(100)
        other.close()


def errors_are_urgent_to_who_says_so():
    one, _ = datagrams()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as nobody:
        nobody.bind(("127.0.0.1", 0))
        closed = nobody.getsockname()
    one.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
    one.sendto(b"to nobody", closed)
    yield says(one, 0, LIMIT_MS)
    yield says(one, select.POLLPRI)
    one.setsockopt(socket.SOL_SOCKET, SO_SELECT_ERR_QUEUE, 1)
    yield says(one, select.POLLPRI), select.select([], [], [one], 0)[2] != []


def one_family_alone_is_chosen_before_bind():
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(socket.AF_INET6, kind) as one:
            yield attempt(one.setsockopt, socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            one.bind(("::ffff:127.0.0.1", 0))
            yield attempt(one.setsockopt, socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1), one.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)


if __name__ == "__main__":
    run_all(sys.modules[__name__])
