"""Who may bind where, who hears what of a port that is shared, and a connection to itself: one line a scenario, to be compared with plain
Linux.

Run by options_test.py on both. Nothing here is about time: what shall not be there yet is looked at when something later is.
"""

import ctypes
import itertools
import select
import socket
import sys

from scenarios import run_all
from socket_pairs import LIMIT_MS, attempt, says


# In which a socket may reuse what another has.
WAYS = ((), (socket.SO_REUSEADDR,), (socket.SO_REUSEPORT,), (socket.SO_REUSEADDR, socket.SO_REUSEPORT))


def make(kind, way, place=("0.0.0.0", None)):
    one = socket.socket(socket.AF_INET if place[1] is None else socket.AF_INET6, kind)
    if place[1] is not None:
        one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, place[1])
    for option in way:
        one.setsockopt(socket.SOL_SOCKET, option, 1)
    return one


def who_may_bind_where():
    """Two sockets after each other: a letter for each way in which the second reuses what the first has."""
    # The address, and IPV6_V6ONLY.
    places = (("0.0.0.0", None), ("127.0.0.1", None), ("127.0.0.2", None), ("::", 0), ("::", 1))
    for kind, listens in ((socket.SOCK_STREAM, False), (socket.SOCK_STREAM, True), (socket.SOCK_DGRAM, False)):
        for there in places:
            for here in places:
                seen = ""
                for first, second in itertools.product(WAYS, WAYS):
                    with make(kind, first, there) as one, make(kind, second, here) as other:
                        one.bind((there[0], 0))
                        if listens:
                            one.listen(1)
                        problem = attempt(other.bind, (here[0], one.getsockname()[1]))
                        if listens and problem is None:
                            problem = attempt(other.listen, 1) and "listens not"
                        seen += {None: ".", "EADDRINUSE": "U", "listens not": "L"}[problem]
                yield seen


def who_may_bind_to_a_port_that_nobody_asked_for():
    peer = ("127.0.0.1", 9)
    for kind, take in ((socket.SOCK_DGRAM, lambda one: one.connect(peer)), (socket.SOCK_DGRAM, lambda one: one.sendto(b"x", peer)), (socket.SOCK_STREAM, lambda one: one.listen(1))):
        seen = ""
        for first, second in itertools.product(WAYS, WAYS):
            with make(kind, first) as one, make(kind, second) as other:
                take(one)
                seen += {None: ".", "EADDRINUSE": "U"}[attempt(other.bind, ("127.0.0.1", one.getsockname()[1]))]
        yield seen


def what_was_a_connection_listens_where_it_was_bound():
    """Its port is given back and its address is not, but by a bind() that fails."""
    near, far = accepted(())
    refused, in_vain = socket.socket(), socket.socket()
    for one in refused, in_vain:
        one.bind(("127.0.0.1", 0))
        yield attempt(one.connect, ("127.0.0.1", 1))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        yield attempt(in_vain.bind, taken.getsockname())
    ctypes.CDLL(None).connect(near.fileno(), bytes(16), 16)
    for one in near, refused, in_vain:
        one.listen(5)
        where, port = one.getsockname()
        yield where, [attempt(socket.socket().connect, (to, port)) for to in ("127.0.0.1", "127.0.0.2")]


def a_port_of_ipv6_alone_is_free_for_ipv4():
    with make(socket.SOCK_DGRAM, (), ("::", 1)) as one, make(socket.SOCK_DGRAM, ()) as other:
        yield attempt(one.sendto, b"x", ("::ffff:127.0.0.1", 9))
        port = one.getsockname()[1]
        yield port != 0, attempt(other.bind, ("0.0.0.0", port))


def who_is_connected_to_port_0_hears_one_host():
    one, other, third = (make(socket.SOCK_DGRAM, ()) for _ in range(3))
    for each, where in ((one, "0.0.0.0"), (other, "127.0.0.1"), (third, "127.0.0.2")):
        each.bind((where, 0))
    one.settimeout(20)
    one.connect(("127.0.0.1", 0))
    here = "127.0.0.1", one.getsockname()[1]
    yield one.getsockname()[0], attempt(one.getpeername)
    yield other.sendto(b"heard", here), third.sendto(b"unheard", here), other.sendto(b"too", here), one.recv(100), one.recv(100)


def accepted(way):
    with make(socket.SOCK_STREAM, way) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(1)
        far = socket.create_connection(listener.getsockname())
        return listener.accept()[0], far


def connected(way):
    with make(socket.SOCK_STREAM, ()) as listener, make(socket.SOCK_STREAM, way) as one:
        listener.bind(("127.0.0.1", 0))
        listener.listen(1)
        one.connect(listener.getsockname())
        return one.dup(), listener.accept()[0]


def who_may_bind_where_a_connection_is():
    """An accepted one and one that has connected, whose way is that of its listener or its own; then in TIME-WAIT."""
    before = set()  # ports of others, which may be in TIME-WAIT still and forbid more
    for begin, waits in itertools.product((accepted, connected), (False, True)):
        for place in ("127.0.0.1", "127.0.0.2", "0.0.0.0"):
            seen = ""
            for first, second in itertools.product(WAYS, WAYS):
                near, far = begin(first)
                while before & {near.getsockname()[1], far.getsockname()[1]}:
                    near, far = begin(first)
                before |= {near.getsockname()[1], far.getsockname()[1]}
                port = near.getsockname()[1]
                if waits:
                    near.close()
                    far.recv(1)
                    far.close()
                with near, far, make(socket.SOCK_STREAM, second) as other:
                    seen += {None: ".", "EADDRINUSE": "U"}[attempt(other.bind, (place, port))]
            yield seen


def a_port_after_a_send_that_may_be_refused():
    peer = ("127.0.0.1", 9)
    for size, flags, to in ((1, 0, peer), (70000, 0, peer), (1, socket.MSG_OOB, peer), (1, 0, ("127.0.0.1", 0)), (1, 0, None)):
        with make(socket.SOCK_DGRAM, ()) as one:
            sent = attempt(one.send, bytes(size)) if to is None else attempt(one.sendto, bytes(size), flags, to)
            yield sent, one.getsockname()[1] != 0


def a_shared_port_has_its_senders():
    shared = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(4)]
    for one in shared:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        one.bind(("127.0.0.1", shared[0].getsockname()[1]))
    senders = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(200)]
    for sender in senders:
        sender.sendto(b"x", shared[0].getsockname())
    heard = dict.fromkeys(shared, 0)
    while sum(heard.values()) < len(senders) and (ready := select.select(shared, [], [], 20)[0]):
        for one in ready:
            one.recv(10)
            heard[one] += 1
    yield sum(heard.values()), [count > 10 for count in heard.values()]


def a_connection_to_itself_after_a_shutdown():
    for how in (None, socket.SHUT_RD, socket.SHUT_WR, socket.SHUT_RDWR):
        for wait in (True, False):
            with socket.socket() as one:
                one.bind(("127.0.0.1", 0))
                shut = attempt(one.shutdown, how) if how is not None else None
                one.setblocking(wait)
                connected = attempt(one.connect, one.getsockname())
                if not wait:
                    says(one, select.POLLOUT, LIMIT_MS)
                    connected = connected, attempt(one.connect, one.getsockname())
                yield how, shut, connected, says(one)


if __name__ == "__main__":
    run_all(sys.modules[__name__])
