"""What goes beside messages: control data that is sent and received, and the options that ask for it: one line a scenario, to be compared with plain
Linux.

Run by options_test.py on both. Nothing here is about time: what shall not be there yet is looked at when something later is.
"""

import select
import socket
import sys
import time

from scenarios import run_all
from socket_pairs import IP_PKTINFO, IP_RECVTOS, IP_RECVTTL, IP_TOS, IP_TTL, LIMIT_MS, SO_TIMESTAMP, SO_TIMESTAMPNS, attempt, beside, connection, datagrams, number, says, waits

IPV6_RECVERR = 25
IP_RECVORIGDSTADDR, TCP_INQ, SO_RXQ_OVFL = 20, 36, 40


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


def what_is_left_of_a_stream():
    near, far = connection()
    far.setsockopt(socket.IPPROTO_TCP, TCP_INQ, 1)
    near.sendall(b"0123456789")
    waits(far, 10)
    for size, flags in ((4, socket.MSG_PEEK), (4, 0), (6, 0)):
        yield far.recvmsg(size, 100, flags)
    near.close()
    says(far, select.POLLIN, LIMIT_MS)
    yield far.recvmsg(4, 100)
    for value in (2, -1):
        yield attempt(far.setsockopt, socket.IPPROTO_TCP, TCP_INQ, value)


def datagrams_that_found_no_room():
    one, other = datagrams()
    other.setsockopt(socket.SOL_SOCKET, SO_RXQ_OVFL, 1)
    one.sendto(b"first", other.getsockname())
    yield beside(other.recvmsg(100, 100))
    for _ in range(200):
        one.sendto(bytes(20_000), other.getsockname())
    message = None
    while message is None or message[0] != b"last":
        one.sendto(b"last", other.getsockname())
        message = other.recvmsg(1000, 100)
    yield [(level, kind, int.from_bytes(data, "little") > 0) for level, kind, data in message[1]]


def where_a_datagram_was_sent_to():
    for family in (socket.AF_INET, socket.AF_INET6):
        one, other = datagrams(family)
        other.setsockopt(socket.IPPROTO_IP, IP_RECVORIGDSTADDR, 1)
        one.sendto(b"there", other.getsockname())
        (level, kind, data), = other.recvmsg(100, 100)[1]
        yield level, kind, len(data), int.from_bytes(data[2:4], "big") == other.getsockname()[1], data[:2] + data[4:]


if __name__ == "__main__":
    run_all(sys.modules[__name__])
