"""What every socket option takes and gives: of each level, number and state of a socket one line, to be compared with plain Linux.

Run by options_test.py on both. A line has what getsockopt() gives into room of every length, then what setsockopt() says of every value and what the
option is then. What depends on the machine or the moment is given as its length alone.
"""

import ctypes
import errno
import socket
import struct
import sys


LIBC = ctypes.CDLL(None, use_errno=True)
LENGTHS = (0, 1, 4, 8, 16, 255)
VALUES = (0, 1, -1, -5, 2**31 - 1)
TEXTS = (b"eth9", b"eth0\0", b"lo", b"cubic", b"reno\0", b"nothing\0")
LEVELS = {"SOL_SOCKET": (1, range(1, 90)), "IPPROTO_IP": (0, range(1, 65)), "IPPROTO_TCP": (6, range(1, 50)), "IPPROTO_UDP": (17, (*range(1, 20), *range(100, 110))),
          "IPPROTO_IPV6": (41, range(1, 90)), "SOL_RAW": (255, range(1, 3)), "none": (77, range(1, 3))}
# SO_PEERCRED, SO_MEMINFO, SO_INCOMING_NAPI_ID, SO_COOKIE, SO_NETNS_COOKIE, TCP_INFO, TCP_CC_INFO, TCP_TIMESTAMP
OF_THE_MOMENT = {(1, 17), (1, 55), (1, 56), (1, 57), (1, 71), (6, 11), (6, 24), (6, 26)}
# SO_RCVBUF and SO_SNDBUF of streams as they begin are the connection's to choose.
KINDS = {"AF_INET": socket.AF_INET, "AF_INET6": socket.AF_INET6}


def said(result):
    return errno.errorcode[ctypes.get_errno()] if result < 0 else ""


def get(fd, level, name, room):
    data, length = ctypes.create_string_buffer(b"\xee" * 300, 300), ctypes.c_uint(room)
    problem = said(LIBC.getsockopt(fd, level, name, data, ctypes.byref(length)))
    if problem or (level, name) in OF_THE_MOMENT:
        return problem or f"{length.value} bytes"
    given = data.raw[:length.value]
    behind = "" if data.raw[length.value:300] == b"\xee" * (300 - length.value) else "+"
    return (str(struct.unpack("i", given)[0]) if len(given) == 4 else given.hex() or "nothing") + behind


def put(fd, level, name, data, length=None):
    return said(LIBC.setsockopt(fd, level, name, data, len(data) if length is None else length)) or "ok"


def all_of_it(fd, level, name):
    """None: no such option, however it is asked for."""
    given = [get(fd, level, name, room) for room in LENGTHS]
    taken = []
    for length in LENGTHS:
        for value in VALUES:
            data = (struct.pack("i", value) * 64)[:length]
            taken.append(f"{put(fd, level, name, data)}:{get(fd, level, name, 4)}")
    taken += [f"{put(fd, level, name, text)}:{get(fd, level, name, 16)}" for text in TEXTS]
    taken += [f"{put(fd, level, name, None, length)}:{get(fd, level, name, 4)}" for length in (0, 1, 4, -1)]
    taken += [f"{put(fd, level, name, bytes(16), length)}" for length in (-1, -2**31)]
    return f"{' '.join(given)} | {' '.join(taken)}"


def states(family, kind):
    here = "127.0.0.1" if family == socket.AF_INET else "::ffff:127.0.0.1"
    stream = kind == socket.SOCK_STREAM

    def fresh():
        return socket.socket(family, kind), None

    def bound():
        one = socket.socket(family, kind)
        one.bind((here, 0))
        return one, None

    def listening():
        one, _ = bound()
        one.listen(1)
        return one, None

    def joined():
        other = socket.socket(family, kind)
        other.bind((here, 0))
        one = socket.socket(family, kind)
        if stream:
            other.listen(1)
        one.connect(other.getsockname())
        return one, (other, other.accept()[0] if stream else None)

    return {"fresh": fresh, "bound": bound, **({"listening": listening} if stream else {}), "connected": joined}


def main():
    for family_name, family in KINDS.items():
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            for state, make in states(family, kind).items():
                for level_name, (level, names) in LEVELS.items():
                    for name in names:
                        one, others = make()
                        line = all_of_it(one.fileno(), level, name)
                        print(f"{family_name} {'stream' if kind == socket.SOCK_STREAM else 'datagram'} {state} {level_name} {name}: {line}")
                        one.close()
                        for other in others or ():
                            if other is not None:
                                other.close()


if __name__ == "__main__":
    sys.stdout.reconfigure(line_buffering=False)
    main()
