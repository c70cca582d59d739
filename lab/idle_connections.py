"""Run on a stack or on plain Linux: opens COUNT connections to the redis at HOST, asks once over each and says "open". Then they do
nothing until SIGTERM; then it asks once more over each, closes it, says "all answered" and ends.

usage: idle_connections.py HOST COUNT
"""

import resource
import signal
import socket
import struct
import sys

PORT = 6379
OTHER_FILES = 100


def allow_descriptors(count):
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most < count:
        sys.exit(f"{count} descriptors are needed and the limit is {most}: ulimit -Hn")
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def ask(connection):
    connection.sendall(b"PING\r\n")
    answer = connection.recv(64)
    if answer != b"+PONG\r\n":
        sys.exit(f"PING was answered {answer!r}")


def connect(host):
    connection = socket.create_connection((host, PORT), timeout=30)
    # It ends with a reset: thousands in TIME-WAIT would keep the ports of the next ones for a minute. Nobody repeats a reset that is
    # lost, so they are closed one by one, with a question between.
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    ask(connection)
    return connection


def main():
    host, count = sys.argv[1], int(sys.argv[2])
    allow_descriptors(count + OTHER_FILES)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    connections = [connect(host) for _ in range(count)]
    print("open", flush=True)
    signal.sigwait([signal.SIGTERM])
    for connection in connections:
        ask(connection)
        connection.close()
    print("all answered", flush=True)


if __name__ == "__main__":
    main()
