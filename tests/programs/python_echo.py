"""Run on a stack: an echo server, and a client that says "equal" if all it sent came back.

usage: python_echo.py serve|ask tcp|tcp6|udp ADDRESS     tcp6 listens on [::] and accepts IPv4
"""

import random
import socket
import sys
import threading

PORT = 7001


def serve(kind, address):
    if kind == "udp":
        server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        server.bind((address, PORT))
        print("ready")
        while True:
            server.sendto(*server.recvfrom(65536))
    if kind == "tcp6":
        listener = socket.create_server(("::", PORT), family=socket.AF_INET6, dualstack_ipv6=True)
    else:
        listener = socket.create_server((address, PORT))
    print("ready")
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=echo, args=(connection,), daemon=True).start()


def echo(connection):
    with connection:
        while data := connection.recv(65536):
            connection.sendall(data)


def ask_udp(address):
    client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    client.settimeout(5)
    for number in range(100):
        datagram = random.Random(number).randbytes(1 + number * 14)
        client.sendto(datagram, (address, PORT))
        if client.recvfrom(65536) != (datagram, (address, PORT)):
            sys.exit(f"datagram {number} came back different")


def ask_tcp(address):
    """Sends while it receives, much more than any buffer holds, then half-closes and expects the end."""
    sent = random.Random(1).randbytes(16 << 20)
    with socket.create_connection((address, PORT), timeout=30) as client:
        def send():
            client.sendall(sent)
            client.shutdown(socket.SHUT_WR)
        sender = threading.Thread(target=send)
        sender.start()
        received = b"".join(iter(lambda: client.recv(1 << 20), b""))
        sender.join()
    if received != sent:
        sys.exit(f"{len(received)} of {len(sent)} bytes came back, or other ones")


def main():
    role, kind, address = sys.argv[1:]
    if role == "serve":
        serve(kind, address)
    elif kind == "udp":
        ask_udp(address)
    else:
        ask_tcp(address)
    print("equal")


if __name__ == "__main__":
    main()
