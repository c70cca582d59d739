"""How names are found: one line a question, to be compared with plain Linux. The files are those that names_test.py puts there.

A name server of RFC 1035 answers on 127.0.0.1, over datagrams and streams; names that begin with "long" do not fit into its datagrams.
"""

import atexit
import os
import signal
import socket
import struct
import sys
import threading
import time

NAMES = {"one.test": ["192.0.2.1"], "two.test": ["192.0.2.2", "192.0.2.3"], "both.test": ["192.0.2.4"], "host.search.test": ["192.0.2.5"],
         "long.test": [f"198.51.100.{last}" for last in range(1, 31)], "longer.test": ["192.0.2.7"], "longest.test": ["192.0.2.8"]}
POINTERS = {"1.2.0.192.in-addr.arpa": "one.test", "7.2.0.192.in-addr.arpa": "longer.test"}


def wire_name(name):
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"


def answer(query, is_stream):
    end = query.index(b"\0", 12) + 1
    name = next((name for name in [*NAMES, *POINTERS] if wire_name(name) == query[12:end].lower()), None)
    is_cut = name is not None and (name.startswith("long") or name[0] == "7") and not is_stream
    kind, data = query[end:end + 4], []
    if kind == b"\0\1\0\1" and not is_cut:
        data = [socket.inet_aton(address) for address in NAMES.get(name, [])]
    if kind == b"\0\x0c\0\1" and not is_cut:
        data = [wire_name(POINTERS[name])] if name in POINTERS else []
    records = b"".join(b"\xc0\x0c" + kind + b"\0\0\0\x3c" + struct.pack(">H", len(one)) + one for one in data)
    flags = 0x8180 | (0x0200 if is_cut else 0) | (0 if name else 3)
    return query[:2] + struct.pack(">HHHHH", flags, 1, len(data), 0, 0) + query[12:end + 4] + records


def serve_datagrams(server):
    while True:
        query, peer = server.recvfrom(512)
        server.sendto(answer(query, False), peer)


def serve_streams(listener):
    while True:
        connection, _ = listener.accept()
        with connection:
            while query := connection.recv(1000):  # length and question in one send, so they come together
                reply = answer(query[2:], True)
                reply = struct.pack(">H", len(reply)) + reply
                if b"longest" in query:  # a byte at a time, for as long as signals come
                    for at in range(8):
                        connection.sendall(reply[at:at + 1])
                        time.sleep(0.01)
                    reply = reply[8:]
                connection.sendall(reply)


def attempt(call, *arguments):
    try:
        return call(*arguments)
    except OSError as problem:
        return type(problem).__name__, problem.args[0]


def addresses(name):
    try:
        return sorted({found[4][0] for found in socket.getaddrinfo(name, 80, socket.AF_INET, socket.SOCK_STREAM)})
    except socket.gaierror as problem:
        return problem.args[0]


def main():
    datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    datagrams.bind(("127.0.0.1", 53))
    streams = socket.create_server(("127.0.0.1", 53))
    # In a process of its own, because python's getnameinfo() lets no other thread run while it waits.
    server = os.fork()
    if server == 0:
        threading.Thread(target=serve_datagrams, args=(datagrams,), daemon=True).start()
        serve_streams(streams)
    atexit.register(os.kill, server, signal.SIGKILL)
    for name in ("one.test", "two.test", "both.test", "here.test", "host", "nobody.test", "long.test", "longer.test", "192.0.2.9", "localhost"):
        print(name, addresses(name), flush=True)
    for name in ("one.test", "here.test", "nobody.test", "longer.test"):
        print("gethostbyname", name, attempt(socket.gethostbyname_ex, name)[::2], flush=True)  # no aliases of hosts(5)
    print("gethostbyaddr", *(attempt(socket.gethostbyaddr, f"192.0.2.{last}")[::2] for last in (77, 1, 7, 99)))
    print("getnameinfo", *(attempt(socket.getnameinfo, (f"192.0.2.{last}", 9), flags)
                           for last in (1, 7, 99) for flags in (0, socket.NI_NAMEREQD, socket.NI_NOFQDN, socket.NI_NUMERICHOST)))
    signal.signal(signal.SIGALRM, lambda *_: None)
    signal.siginterrupt(signal.SIGALRM, False)  # else libc's own resolver gives up in the middle of an answer
    signal.setitimer(signal.ITIMER_REAL, 0.005, 0.005)
    print("longest.test", addresses("longest.test"))
    signal.setitimer(signal.ITIMER_REAL, 0)
    print("getnameinfo", attempt(socket.getnameinfo, ("192.0.2.77", 80), 0), attempt(socket.getnameinfo, ("192.0.2.77", 9), socket.NI_NUMERICHOST | socket.NI_NUMERICSERV))
    known = socket.if_nameindex()
    print("interfaces", all(socket.if_nametoindex(name) == index and socket.if_indextoname(index) == name for index, name in known), (1, "lo") in known)
    print("no interface", attempt(socket.if_nametoindex, "none"), attempt(socket.if_indextoname, 999))


if __name__ == "__main__":
    main()
    sys.stdout.flush()
