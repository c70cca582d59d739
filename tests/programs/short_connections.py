"""Run on a stack: opens COUNT connections to the redis at HOST, one after the other and no more than 1000 a second, asks once over each
and closes it. Says "done" when it holds no more descriptors than before, and then stays.

usage: short_connections.py HOST COUNT
"""

import os
import signal
import socket
import sys
import time

PORT = 6379
PER_SECOND = 1000


def descriptors():
    return len(os.listdir("/proc/self/fd"))


def main():
    host, count = sys.argv[1], int(sys.argv[2])
    before, began = descriptors(), time.monotonic()
    for number in range(count):
        time.sleep(max(0, began + number / PER_SECOND - time.monotonic()))
        with socket.create_connection((host, PORT), timeout=20) as connection:
            connection.sendall(b"PING\r\n")
            answer = connection.recv(64)
        if answer != b"+PONG\r\n":
            sys.exit(f"connection {number}: {answer!r}")
    if descriptors() != before:
        sys.exit(f"{before} descriptors before, {descriptors()} afterwards")
    print(f"{count / (time.monotonic() - began):.0f} connections a second, done", flush=True)
    signal.pause()


if __name__ == "__main__":
    main()
