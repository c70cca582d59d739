"""What becomes of datagrams that could not be delivered, for who asks with IP_RECVERR and who does not: one line a scenario, to be compared with plain Linux.

Run by options_test.py on both. Nothing here is about time: what shall not be there yet is looked at when something later is.
"""

import errno
import select
import socket
import sys
import time

from option_effects import LIMIT_MS, attempt, connection, datagrams, says
from scenarios import run_all

IP_RECVERR, IP_RECVTTL, IPV6_RECVERR = 11, 12, 25


def nobody():
    """An address where nobody is."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()


def errors(one, size=100):
    """The next of the error queue, its port left out."""
    try:
        data, control, flags, address = one.recvmsg(size, 500, socket.MSG_ERRQUEUE)
    except OSError as problem:
        return errno.errorcode[problem.errno]
    return data, [(level, kind, told.hex()) for level, kind, told in control], hex(flags), address[0]


def fails(one):
    """Waits until poll() tells of an error."""
    return says(one, select.POLLIN | select.POLLPRI, LIMIT_MS)


def errors_nobody_asked_for():
    gone = nobody()
    with datagrams()[0] as one:
        one.sendto(b"x", gone)
        one.sendto(b"y", one.getsockname())
        yield one.recv(10), says(one), errors(one)
        one.connect(gone)
        one.send(b"x")
        yield fails(one), errors(one), attempt(one.recv, 10), says(one)


def errors_that_were_asked_for():
    gone = nobody()
    with datagrams()[0] as one:
        one.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
        yield one.getsockopt(socket.IPPROTO_IP, IP_RECVERR), errors(one)
        one.sendto(b"hello", gone)
        yield fails(one), attempt(one.recv, 10), fails(one), errors(one), says(one), errors(one)
        one.sendto(b"first", gone)
        yield fails(one), attempt(one.sendto, b"not sent", gone)
        one.sendto(b"second", gone)
        yield fails(one)
        while one.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0:
            time.sleep(0.001)
        yield errors(one, 3), one.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), fails(one), errors(one), says(one)
        one.sendto(b"read before it is asked", gone)
        yield fails(one), errors(one), one.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        one.sendto(b"forgotten", gone)
        yield fails(one)
        one.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 0)
        yield fails(one), errors(one), one.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), says(one)


def errors_of_a_connected_socket():
    gone = nobody()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
        one.connect(gone)
        one.send(b"x")
        yield fails(one), attempt(one.recv, 10), fails(one), errors(one), says(one)
        one.send(b"xyz")
        yield fails(one), one.recvfrom(2, socket.MSG_ERRQUEUE)[0], says(one)
        one.setsockopt(socket.IPPROTO_IP, IP_RECVTTL, 1)
        one.send(b"xyz")
        yield fails(one), errors(one)


def errors_and_epoll():
    gone = nobody()
    with datagrams()[0] as one, select.epoll() as epoll:
        one.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
        epoll.register(one, select.EPOLLIN | select.EPOLLET)
        one.sendto(b"a", gone)
        yield [events for _, events in epoll.poll(20)], epoll.poll(0), errors(one)[0], epoll.poll(0)


def errors_of_ipv6_sockets():
    gone = nobody()
    for level, option in ((socket.IPPROTO_IP, IP_RECVERR), (socket.IPPROTO_IPV6, IPV6_RECVERR)):
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as one:
            one.setsockopt(level, option, 1)
            one.bind(("::", 0))
            one.sendto(b"hello", ("::ffff:127.0.0.1", gone[1]))
            if option == IP_RECVERR:
                yield fails(one), errors(one), says(one)
            one.connect(("::ffff:127.0.0.1", gone[1]))
            one.send(b"hello")
            yield fails(one), attempt(one.recv, 10)


def a_stream_has_no_such_errors():
    near, far = connection()
    near.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
    yield near.getsockopt(socket.IPPROTO_IP, IP_RECVERR), errors(near), says(near)
    far.close()


if __name__ == "__main__":
    run_all(sys.modules[__name__])
