"""A name server with a zone that may change: name_server.py ADDRESS PORT ZONE.json. RFC 1035 as far as a test needs it.

The zone is {"NAME": ["ADDRESS", …] or {"alias": "NAME"}}, read anew for each question. {"forged": ["ADDRESS", …]} answers so that
nobody may believe it: with another id, from another port, in another spelling; and then says that there is no such name. Each
question is printed as "asked NAME TYPE", the name as it was spelled.
"""

import json
import socket
import sys


def record(owner, kind, data):
    return owner + kind.to_bytes(2, "big") + b"\0\1\0\0\0\x3c" + len(data).to_bytes(2, "big") + data  # IN, for a minute


def wire(name):
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"


def reply(query, end, status, answers):
    return query[:2] + status + b"\0\1" + len(answers).to_bytes(2, "big") + b"\0\0\0\0" + query[12:end] + b"".join(answers)


def addresses(owner, known):
    return [record(owner, 1, socket.inet_aton(address)) for address in known]


def serve(address, port, zone):
    server, other = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
    server.bind((address, int(port)))
    other.bind((address, 0))
    print("ready", flush=True)
    while True:
        query, peer = server.recvfrom(512)
        end = query.index(b"\0", 12) + 5
        name, at = [], 12
        while query[at]:
            name.append(query[at + 1:at + 1 + query[at]].decode())
            at += 1 + query[at]
        kind = int.from_bytes(query[end - 4:end - 2], "big")
        print("asked", ".".join(name), kind, flush=True)
        with open(zone, encoding="ascii") as file:
            names = json.load(file)
        owner, known = b"\xc0\x0c", names.get(".".join(name).lower())
        answers = []
        if isinstance(known, dict) and "forged" in known:
            lie = reply(query, end, b"\x81\x80", addresses(owner, known["forged"]))
            server.sendto(bytes([lie[0] ^ 1]) + lie[1:], peer)
            server.sendto(lie[:12] + lie[12:end].swapcase() + lie[end:], peer)
            other.sendto(lie, peer)
            known = None
        status = b"\x81\x83" if known is None else b"\x81\x80"  # no such name, or no error
        while isinstance(known, dict):
            answers.append(record(owner, 5, wire(known["alias"])))
            owner, known = wire(known["alias"]), names.get(known["alias"], [])
        if known and kind == 1:
            answers += addresses(owner, known)
        server.sendto(reply(query, end, status, answers), peer)


serve(*sys.argv[1:])
