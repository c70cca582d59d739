"""Run on a stack: writes COUNT values of BYTES each into the redis at HOST, reads them back, and says "equal" if every digest is.

usage: redis_content.py HOST COUNT BYTES
"""

import hashlib
import random
import socket
import sys
import time


def bulk(*words):
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)


def connect(host, patience_s=20):
    """The server may still be starting."""
    deadline = time.monotonic() + patience_s
    while True:
        try:
            return socket.create_connection((host, 6379), timeout=60)
        except ConnectionRefusedError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def main():
    host, count, length = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    digests = []
    with connect(host) as connection, connection.makefile("rb") as replies:
        for number in range(count):
            value = random.Random(number).randbytes(length)
            digests.append(hashlib.sha256(value).digest())
            connection.sendall(bulk(b"SET", b"value:%d" % number, value))
            answer = replies.readline()
            if answer != b"+OK\r\n":
                sys.exit(f"SET of value {number} was answered {answer!r}")
        for number, digest in enumerate(digests):
            connection.sendall(bulk(b"GET", b"value:%d" % number))
            header = replies.readline()
            value = replies.read(length + 2)[:-2]
            if header != b"$%d\r\n" % length or hashlib.sha256(value).digest() != digest:
                sys.exit(f"value {number} came back different")
    print("equal")


if __name__ == "__main__":
    main()
