"""A name server that knows one name: one_name_server.py ADDRESS NAME ANSWER. RFC 1035 as far as a test needs it."""

import socket
import sys

address, name, answer = sys.argv[1:]
question = b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind((address, 53))
print("ready", flush=True)
while True:
    query, peer = server.recvfrom(512)
    end = query.index(b"\0", 12) + 5
    known = query[12:end - 4].lower() == question
    record = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4" + socket.inet_aton(answer)  # A, IN, for a minute
    answers = record if known and query[end - 4:end] == b"\0\1\0\1" else b""
    status = b"\x81\x80" if known else b"\x81\x83"  # no error, or no such name
    server.sendto(query[:2] + status + b"\0\1" + bytes([0, bool(answers)]) + b"\0\0\0\0" + query[12:end] + answers, peer)
