"""How names are found: one line a question, to be compared with plain Linux. The files are those that names_test.py puts there.

A name server of RFC 1035 answers on 127.0.0.1, over datagrams and streams; names that begin with "long" do not fit into its datagrams.
"""

import atexit
import ctypes
import os
import signal
import socket
import struct
import sys
import threading
import time

NAMES = {"one.test": ["192.0.2.1"], "two.test": ["192.0.2.2", "192.0.2.3"], "both.test": ["192.0.2.4"], "host.search.test": ["192.0.2.5"],
         "long.test": [f"198.51.100.{last}" for last in range(1, 31)], "longer.test": ["192.0.2.7"], "longest.test": ["192.0.2.8"]}
SERVICES = {"_imap._tcp.one.test": (0, 5, 143, "two.test"), "_sip._udp.search.test": (1, 2, 5060, "one.test")}
# To these the server answers that it cannot (SERVFAIL), does not know how (NOTIMP), or does not want to (REFUSED).
FAILURES = {"fails.test": 2, "unable.test": 4, "unwilling.test": 5, "98.2.0.192.in-addr.arpa": 2}
# What names and addresses lead to: a host, and what no program may be told is one.
LABELS = (b"_good-", b"bad\x1b[2Jx", b"line\nfeed", b"trusted.example", b"nul\0x", b"-leads", b"all*", b"back\\slash", b"caf\xc3\xa9")


def wire_name(name):
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"


TARGETS = [bytes([len(label)]) + label + wire_name("test") for label in LABELS]
ALIASES = {f"alias{at}.test": target for at, target in enumerate(TARGETS)}
POINTERS = {"1.2.0.192.in-addr.arpa": wire_name("one.test"), "7.2.0.192.in-addr.arpa": wire_name("longer.test"),
            **{f"{30 + at}.2.0.192.in-addr.arpa": target for at, target in enumerate(TARGETS)}}


def record(owner, kind, data):
    return owner + kind + b"\0\0\0\x3c" + struct.pack(">H", len(data)) + data


def answer(query, is_stream):
    end = query.index(b"\0", 12) + 1
    name = next((name for name in [*NAMES, *ALIASES, *POINTERS, *SERVICES, *FAILURES] if wire_name(name) == query[12:end].lower()), None)
    is_cut = name is not None and (name.startswith("long") or name[0] == "7") and not is_stream
    kind, data = query[end:end + 4], []
    if kind == b"\0\1\0\1" and not is_cut:
        data = [socket.inet_aton(address) for address in NAMES.get(name, [])]
    if kind == b"\0\x0c\0\1" and not is_cut:
        data = [POINTERS[name]] if name in POINTERS else []
    if kind == b"\0\x21\0\1" and name in SERVICES:
        data = [struct.pack(">HHH", *SERVICES[name][:3]) + wire_name(SERVICES[name][3])]
    records = [record(b"\xc0\x0c", kind, one) for one in data]
    if kind == b"\0\1\0\1" and name in ALIASES:
        records = [record(b"\xc0\x0c", b"\0\5\0\1", ALIASES[name]), record(ALIASES[name], kind, socket.inet_aton("192.0.2.9"))]
    flags = 0x8180 | (0x0200 if is_cut else 0) | (FAILURES.get(name, 0) if name else 3)
    return query[:2] + struct.pack(">HHHHH", flags, 1, len(records), 0, 0) + query[12:end + 4] + b"".join(records)


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


def addresses(name, family=socket.AF_INET):
    try:
        return sorted({found[4][0] for found in socket.getaddrinfo(name, 80, family, socket.SOCK_STREAM)})
    except socket.gaierror as problem:
        return problem.args[0]


def listed(name, family=socket.AF_UNSPEC, kind=socket.SOCK_STREAM, protocol=0, flags=0, service=80):
    found = attempt(socket.getaddrinfo, name, service, family, kind, protocol, flags)
    return [(int(one[0]), int(one[1]), *one[2:]) for one in found] if isinstance(found, list) else found


def ask_for_names():
    for name in ("here", "OTHER", "many", "six", "192.0.2.1"):
        print("canonical", name, listed(name, flags=socket.AI_CANONNAME), listed(name, socket.AF_INET, flags=socket.AI_CANONNAME), flush=True)
    print("canonical mixed.test", listed("mixed.test", socket.AF_INET, flags=socket.AI_CANONNAME))


def ask_for_families():
    flags = (0, socket.AI_V4MAPPED, socket.AI_V4MAPPED | socket.AI_ALL, socket.AI_NUMERICHOST)
    for name in ("127.0.0.1", "::1", "::ffff:127.0.0.1", "::ffff:192.0.2.9", "here", "many", "six", "mixed.test"):
        for family in (socket.AF_UNSPEC, socket.AF_INET, socket.AF_INET6):
            if family != socket.AF_UNSPEC or name != "mixed.test":  # there IPv6, which we have none of, comes first
                print("family", name, int(family), *(listed(name, family, flags=one) for one in flags), flush=True)


def ask_for_kinds():
    services = (None, 80, "http", "domain", "amqp", "none", "70000", " 80", "80 ", "-1", "-70000", "4294967377", "")
    for kind in range(8):
        for protocol in (0, 1, 6, 17, 33, 132, 136, 255):
            print("kind", kind, protocol, *(listed("192.0.2.1", kind=kind, protocol=protocol, service=service) for service in services))
    print("numeric", *(listed("192.0.2.1", service=service, flags=socket.AI_NUMERICSERV) for service in services))
    print("wrong kinds come before wrong names", listed("nobody.test", service="none"), listed("nobody.test", kind=77), listed("::1", socket.AF_INET, service="none"))


def ask_for_targets():
    for at, label in enumerate(LABELS):
        name, address = f"alias{at}.test", f"192.0.2.{30 + at}"
        print("target", label, attempt(socket.gethostbyname_ex, name)[::2],  # without the aliases
              *(listed(name, family, flags=socket.AI_CANONNAME) for family in (socket.AF_UNSPEC, socket.AF_INET)), attempt(socket.gethostbyaddr, address)[0],
              *(attempt(socket.getnameinfo, (address, 9), flags) for flags in (0, socket.NI_NAMEREQD)), flush=True)


class Host(ctypes.Structure):  # struct hostent
    _fields_ = [("name", ctypes.c_char_p), ("aliases", ctypes.POINTER(ctypes.c_char_p)), ("family", ctypes.c_int), ("length", ctypes.c_int),
                ("addresses", ctypes.POINTER(ctypes.POINTER(ctypes.c_ubyte)))]


def in_growing_room(name):
    """What gethostbyname_r(3) says until it has room enough, what it found then, and whether it has ever written more than it was given."""
    host, found, reason, results, kept_in = Host(), ctypes.c_void_p(), ctypes.c_int(), set(), True
    for room in range(0, 2000, 3):
        buffer = ctypes.create_string_buffer(b"x" * 2000)
        result = LIBC.gethostbyname_r(name, ctypes.byref(host), buffer, ctypes.c_size_t(room), ctypes.byref(found), ctypes.byref(reason))
        kept_in = kept_in and not buffer.raw[room:2000].strip(b"x")
        if found:
            return results, host.name, list(iter_until_null(host.aliases)), [bytes(one[:4]) for one in iter_until_null(host.addresses)], kept_in
        results.add(result)
    return results, kept_in


def iter_until_null(pointers):
    at = 0
    while pointers[at]:
        yield pointers[at]
        at += 1


A, MX, SRV = 1, 15, 33
EAI_INPROGRESS = -100
LIBC = ctypes.CDLL(None)
LIBC.__h_errno_location.restype = ctypes.POINTER(ctypes.c_int)


def asked(function, *arguments, room=1000):
    """What a function of res_query(3) gave: its result, the reason, and of the answer all but the id that was drawn."""
    answer = ctypes.create_string_buffer(room)
    result = function(*arguments, answer, room)
    reason = LIBC.__h_errno_location().contents.value if result < 0 else 0
    return result, reason, answer.raw[2:min(result, room)].hex() if result > 0 else ""


def ask_servers():
    for name, kind in (("one.test", A), ("nobody.test", A), ("one.test", MX), ("_imap._tcp.one.test", SRV), ("long.test", A), ("longer.test.", A)):
        print("res_query", name, kind, asked(LIBC.res_query, name.encode(), 1, kind), flush=True)
    print("into little room", [asked(LIBC.res_query, b"long.test", 1, A, room=room)[0] for room in (100, 12, 11)])
    for name, kind in (("host", A), ("_sip._udp", SRV), ("one.test", A), ("host.", A), ("nobody", A), ("one.test", MX)):
        print("res_search", name, kind, asked(LIBC.res_search, name.encode(), 1, kind), flush=True)
    print("res_querydomain", asked(LIBC.res_querydomain, b"one", b"test", 1, A), asked(LIBC.res_querydomain, b"one.test.", None, 1, A))
    print("no name", asked(LIBC.res_query, b"x" * 70, 1, A), asked(LIBC.res_querydomain, b"x" * 600, b"y" * 600, 1, A))
    question = ctypes.create_string_buffer(500)
    length = LIBC.res_mkquery(0, b"two.test", 1, A, None, 0, None, question, 500)
    print("res_send", length, asked(LIBC.res_send, question, length))
    state = ctypes.create_string_buffer(2000)
    print("res_ninit", getattr(LIBC, "__res_ninit")(state), asked(LIBC.res_nquery, state, b"two.test", 1, A), asked(LIBC.res_nsearch, state, b"host", 1, A),
          asked(LIBC.res_nquerydomain, state, b"host", b"search.test", 1, A), asked(LIBC.res_nsend, state, question, length))
    for option in ("RES_USE_EDNS0", "use-vc"):
        ctypes.c_uint.from_buffer(state, 8).value ^= {"RES_USE_EDNS0": 0x100000, "use-vc": 0x100008}[option]
        print(option, asked(LIBC.res_nquery, state, b"longest.test", 1, A))
    getattr(LIBC, "__res_nclose")(state)


class Request(ctypes.Structure):  # struct gaicb
    _fields_ = [("name", ctypes.c_char_p), ("service", ctypes.c_char_p), ("hints", ctypes.c_void_p), ("found", ctypes.c_void_p), ("rest", ctypes.c_int * 6)]


def ask_at_once():
    requests = [Request(name, b"80") for name in (b"one.test", b"nobody.test", b"here.test")]
    requests[1].hints = requests[0].hints
    listed = (ctypes.c_void_p * 3)(*map(ctypes.addressof, requests))
    for wait in (0, 1):  # GAI_WAIT, GAI_NOWAIT
        print("getaddrinfo_a", LIBC.getaddrinfo_a(wait, listed, 3, None), end=" ")
        while any(LIBC.gai_error(ctypes.byref(one)) == EAI_INPROGRESS for one in requests):  # glibc's gai_suspend() crashes at times
            time.sleep(0.01)
        print([(LIBC.gai_error(ctypes.byref(one)), bool(one.found)) for one in requests], flush=True)


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
    for name in ("fails.test", "unable.test", "unwilling.test"):
        print(name, addresses(name, socket.AF_UNSPEC), flush=True)  # for AF_INET alone libc says that there is no such name
    for name in ("one.test", "here.test", "OTHER", "many", "nobody.test", "longer.test", "fails.test", "unwilling.test"):
        found = attempt(socket.gethostbyname_ex, name)
        print("gethostbyname", name, found if len(found) == 3 else found[0], flush=True)  # the reason is getaddrinfo()'s, for AF_INET alone
    print("gethostbyaddr", *(attempt(socket.gethostbyaddr, f"192.0.2.{last}") for last in (77, 79, 80, 1, 7, 99)), attempt(socket.gethostbyaddr, "192.0.2.98")[0])
    print("gethostbyname_r", *map(in_growing_room, (b"here", b"many")), flush=True)
    ask_for_names()
    ask_for_targets()
    ask_for_families()
    ask_for_kinds()
    ask_servers()
    ask_at_once()
    print("getnameinfo", *(attempt(socket.getnameinfo, (f"192.0.2.{last}", 9), flags)
                           for last in (1, 7, 98, 99) for flags in (0, socket.NI_NAMEREQD, socket.NI_NOFQDN, socket.NI_NUMERICHOST)))
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
