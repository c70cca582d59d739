"""Run on a stack or on the host: many clients of memcached at once; says "equal" if every value came back as it was stored.

usage: memcached_content.py ADDRESS [PORT [CLIENTS]]     the server listens there on TCP and UDP, and takes in values of up to 60000 bytes
"""

import random
import socket
import struct
import sys
import threading

PORT = int(sys.argv[2]) if len(sys.argv) > 2 else 11211
CLIENTS = int(sys.argv[3]) if len(sys.argv) > 3 else 16
ROUNDS = 100


def expect(got, wanted, what):
    if got != wanted:
        raise SystemExit(f"{what}: {got[:80]!r} instead of {wanted[:80]!r}")


def ask_over_tcp(address, number, answers):
    source = random.Random(number)
    with socket.create_connection((address, PORT), timeout=20) as connection, connection.makefile("rb") as lines:
        for turn in range(ROUNDS):
            key, value = b"key-%d-%d" % (number, turn % 10), source.randbytes(source.randrange(1, 60000))
            connection.sendall(b"set %s 0 0 %d\r\n%s\r\n" % (key, len(value), value))
            expect(lines.readline(), b"STORED\r\n", "set over TCP")
            connection.sendall(b"get %s\r\n" % key)
            expect(lines.readline(), b"VALUE %s 0 %d\r\n" % (key, len(value)), "get over TCP")
            expect(lines.read(len(value) + 7), value + b"\r\nEND\r\n", "value over TCP")
    answers.append(number)


def exchange(client, number, command):
    """One request, and the answer put together of its datagrams (memcached's protocol.txt, "UDP protocol").

    A wire may lose either, so the request is sent again until all of the answer is there.
    """
    client.settimeout(1)
    request = struct.pack(">HHHH", number, 0, 1, 0) + command
    client.send(request)
    parts, total, again = {}, 1, 0
    while len(parts) < total:
        try:
            datagram = client.recv(65536)
        except TimeoutError:
            again += 1
            expect(again < 20, True, "an answer over UDP after twenty requests")
            client.send(request)
            continue
        identity, sequence, total, _ = struct.unpack(">HHHH", datagram[:8])
        if identity == number:
            parts[sequence] = datagram[8:]
    return b"".join(parts[sequence] for sequence in range(total))


def ask_over_udp(address):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.connect((address, PORT))
        for number in range(ROUNDS):
            expect(exchange(client, 2 * number, b"set udp 0 0 5\r\n%05d\r\n" % number), b"STORED\r\n", "set over UDP")
            expect(exchange(client, 2 * number + 1, b"get udp\r\n"), b"VALUE udp 0 5\r\n%05d\r\nEND\r\n" % number, "get over UDP")
        value = random.Random(ROUNDS).randbytes(40000)  # about thirty datagrams
        with socket.create_connection((address, PORT), timeout=20) as connection:
            connection.sendall(b"set large 0 0 %d\r\n%s\r\n" % (len(value), value))
            expect(connection.recv(100), b"STORED\r\n", "set of a large value")
        expect(exchange(client, 2 * ROUNDS, b"get large\r\n"), b"VALUE large 0 %d\r\n%s\r\nEND\r\n" % (len(value), value), "many datagrams")


def main():
    address = sys.argv[1]
    answers = []
    clients = [threading.Thread(target=ask_over_tcp, args=(address, number, answers)) for number in range(CLIENTS)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    ask_over_udp(address)  # alone: nobody repeats a datagram that found no room
    expect(bytes(sorted(answers)), bytes(range(CLIENTS)), "clients that came through")
    print("equal")


if __name__ == "__main__":
    main()
