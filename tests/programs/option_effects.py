"""What socket options do and what they keep: one line a scenario, to be compared with plain Linux.

Run by options_test.py on both. Nothing here is about time: what shall not be there yet is looked at when something later is.
"""

import array
import contextlib
import errno
import fcntl
import itertools
import select
import socket
import struct
import sys
import termios
import threading
import time

from scenarios import run_all

IP_TOS, IP_TTL, IP_PKTINFO, IP_RECVTTL, IP_RECVTOS = 1, 2, 8, 12, 13
IPV6_RECVERR = 25
UDP_CORK = 1
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


def datagrams_say_what_they_should():
    one, other = datagrams()
    for option in (IP_RECVTTL, IP_RECVTOS):
        other.setsockopt(socket.IPPROTO_IP, option, 1)
    one.sendto(b"as ever", other.getsockname())
    yield beside(other.recvmsg(100, 200))
    one.setsockopt(socket.IPPROTO_IP, IP_TTL, 7)
    one.setsockopt(socket.IPPROTO_IP, IP_TOS, 0x2b)
    one.sendto(b"as the socket says", other.getsockname())
    yield beside(other.recvmsg(100, 200))
    one.sendmsg([b"as the call says"], [(0, IP_TTL, number(9)), (0, IP_TOS, number(0x14))], 0, other.getsockname())
    yield beside(other.recvmsg(100, 200))
    other.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
    one.sendmsg([b"a byte will do"], [(0, IP_TOS, b"\x10")], 0, other.getsockname())
    yield beside(other.recvmsg(100, 200))
    other.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMP, 1)
    one.connect(other.getsockname())
    one.sendmsg([b"with its time"], [(0, IP_TTL, number(255))])
    yield beside(other.recvmsg(100, 200))
    other.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMP, 0)
    other.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 0)
    for room in (18, 10):
        one.send(b"no room")
        yield other.recvmsg(100, room)[1:3]


def control_data_that_is_wrong():
    one, other = datagrams()
    for level, kind, data in ((0, IP_TTL, number(0)), (0, IP_TTL, number(256)), (0, IP_TTL, number(-1)), (0, IP_TTL, b"\x10"),
                              (0, IP_TOS, number(256)), (0, IP_TOS, number(-1)), (0, IP_TOS, b"12"), (0, IP_RECVTTL, number(1)),
                              (socket.SOL_SOCKET, 77, number(1)), (0, IP_PKTINFO, b"short"), (77, 77, number(1)),
                              (socket.IPPROTO_IPV6, socket.IPV6_TCLASS, number(1))):
        yield attempt(one.sendmsg, [b"x"], [(level, kind, data)], 0, other.getsockname())


def datagrams_of_both_families():
    one, other = datagrams(socket.AF_INET6)
    other.setsockopt(socket.IPPROTO_IP, IP_RECVTTL, 1)
    one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, 3)
    one.sendto(b"hops are not IPv4's", other.getsockname())
    yield beside(other.recvmsg(100, 200))
    one.setsockopt(socket.IPPROTO_IP, IP_TTL, 4)
    one.sendto(b"but this is", other.getsockname())
    yield beside(other.recvmsg(100, 200))


def control_data_of_ipv6_sockets():
    one, other = datagrams(socket.AF_INET6)
    fourth = datagrams()[0]
    to = other.getsockname()
    mapped = socket.inet_pton(socket.AF_INET6, "::ffff:127.0.0.1") + number(0)
    foreign = socket.inet_pton(socket.AF_INET6, "::ffff:192.0.2.1") + number(0)
    for level, option in ((0, IP_PKTINFO), (0, IP_RECVTTL), (0, IP_RECVTOS), (41, socket.IPV6_RECVPKTINFO),
                          (41, socket.IPV6_RECVHOPLIMIT), (41, socket.IPV6_RECVTCLASS)):
        other.setsockopt(level, option, 1)
        yield other.getsockopt(level, option)
    for data in ([], [(41, socket.IPV6_PKTINFO, mapped)], [(41, socket.IPV6_HOPLIMIT, number(9))], [(41, socket.IPV6_TCLASS, number(0x28))],
                 [(0, IP_TTL, number(9)), (0, IP_TOS, number(0x28))], [(0, IP_PKTINFO, number(0) + socket.inet_aton("127.0.0.1") * 2)],
                 [(0, IP_PKTINFO, number(0) + socket.inet_aton("192.0.2.1") * 2)], [(41, socket.IPV6_PKTINFO, foreign)],
                 [(41, socket.IPV6_PKTINFO, bytes(15) + b"\1" + number(0))], [(41, socket.IPV6_PKTINFO, bytes(20))], [(41, 99, b"1234")], [(41, socket.IPV6_PKTINFO, b"short")]):
        sent = attempt(one.sendmsg, [b"x"], data, 0, to)
        yield sent, sent == 1 and beside(other.recvmsg(100, 400))
        sent = attempt(fourth.sendmsg, [b"x"], data, 0, ("127.0.0.1", to[1]))
        yield sent, sent == 1 and beside(other.recvmsg(100, 400))
    for option in (socket.IPV6_RECVPKTINFO, socket.IPV6_TCLASS, IPV6_RECVERR, socket.IPV6_V6ONLY):
        yield attempt(fourth.setsockopt, 41, option, 1), attempt(fourth.getsockopt, 41, option)
    with socket.socket() as stream:
        yield attempt(stream.setsockopt, 41, socket.IPV6_V6ONLY, 0), attempt(stream.getsockopt, 41, socket.IPV6_UNICAST_HOPS)


def who_may_bind_where():
    """Two sockets after each other: a letter for each way in which the second reuses what the first has."""
    ways = ((), (socket.SO_REUSEADDR,), (socket.SO_REUSEPORT,), (socket.SO_REUSEADDR, socket.SO_REUSEPORT))
    # The address, and IPV6_V6ONLY.
    places = (("0.0.0.0", None), ("127.0.0.1", None), ("127.0.0.2", None), ("::", 0), ("::", 1))

    def make(kind, way, place):
        one = socket.socket(socket.AF_INET if place[1] is None else socket.AF_INET6, kind)
        if place[1] is not None:
            one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, place[1])
        for option in way:
            one.setsockopt(socket.SOL_SOCKET, option, 1)
        return one

    for kind, listens in ((socket.SOCK_STREAM, False), (socket.SOCK_STREAM, True), (socket.SOCK_DGRAM, False)):
        for there in places:
            for here in places:
                seen = ""
                for first, second in itertools.product(ways, ways):
                    with make(kind, first, there) as one, make(kind, second, here) as other:
                        one.bind((there[0], 0))
                        if listens:
                            one.listen(1)
                        problem = attempt(other.bind, (here[0], one.getsockname()[1]))
                        if listens and problem is None:
                            problem = attempt(other.listen, 1) and "listens not"
                        seen += {None: ".", "EADDRINUSE": "U", "listens not": "L"}[problem]
                yield seen


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


def of_two_times_one_holds():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        for option, on in ((SO_TIMESTAMP, 1), (SO_TIMESTAMPNS, 1), (SO_TIMESTAMP, 1), (SO_TIMESTAMPNS, 0), (SO_TIMESTAMPNS, 1), (SO_TIMESTAMP, 0)):
            one.setsockopt(socket.SOL_SOCKET, option, on)
            yield [one.getsockopt(socket.SOL_SOCKET, each) for each in (SO_TIMESTAMP, SO_TIMESTAMPNS)]


def a_stream_tells_when_bytes_came():
    near, far = connection()
    near.sendall(b"without")
    yield beside(far.recvmsg(100, 200))
    far.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMP, 1)
    for _ in range(1000):  # Linux begins to note times some moments after it was asked to (net_enable_timestamp())
        near.sendall(b"?")
        if beside(far.recvmsg(1, 200)):
            break
        time.sleep(.01)
    near.sendall(b"with")
    yield beside(far.recvmsg(2, 200, socket.MSG_PEEK)), beside(far.recvmsg(2, 200)), beside(far.recvmsg(2, 200))
    far.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    near.sendall(b"finer")
    yield beside(far.recvmsg(100, 200))
    near.close()
    yield far.recvmsg(100, 200)


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
