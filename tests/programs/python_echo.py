"""Run on a stack: an echo server, and a client that says "equal" if all it sent came back.

usage: python_echo.py serve|ask tcp|tcp6|udp|cut|asyncio ADDRESS [PORT [CONNECTIONS]]

tcp6 listens on [::] and accepts IPv4; cut are datagrams far above any MTU.
"""

import asyncio
import random
import socket
import sys
import threading

PORT = int(sys.argv[4]) if len(sys.argv) > 4 else 7001
CONNECTIONS = int(sys.argv[5]) if len(sys.argv) > 5 else 20  # of asyncio


def serve(kind, address):
    if kind in ("udp", "cut"):
        server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        server.bind((address, PORT))
        print("ready")
        while True:
            server.sendto(*server.recvfrom(65536))
    if kind == "asyncio":
        asyncio.run(serve_asyncio(address))
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


def ask_udp(address, sizes):
    client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    client.settimeout(5)
    for number, size in enumerate(sizes):
        datagram = random.Random(number).randbytes(size)
        client.sendto(datagram, (address, PORT))
        if client.recvfrom(65536) != (datagram, (socket.gethostbyname(address), PORT)):
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


async def serve_asyncio(address):
    async def echo_stream(reader, writer):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(echo_stream, address, PORT)
    print("ready")
    await server.serve_forever()


async def ask_asyncio(address):
    """Connections at once, each with requests of its own and an end."""
    async def ask_one(seed):
        reader, writer = await asyncio.open_connection(address, PORT)
        for number in range(20):
            request = random.Random(seed * 100 + number).randbytes(1 + number * 3000)
            writer.write(request)
            if await reader.readexactly(len(request)) != request:
                sys.exit(f"request {number} of connection {seed} came back different")
        writer.write_eof()
        if await reader.read() != b"":
            sys.exit("bytes behind the end")
        writer.close()
        await writer.wait_closed()

    await asyncio.wait_for(asyncio.gather(*(ask_one(seed) for seed in range(CONNECTIONS))), 50)


def main():
    role, kind, address = sys.argv[1:4]
    if role == "serve":
        serve(kind, address)
    elif kind == "udp":
        ask_udp(address, range(1, 1401, 14))
    elif kind == "cut":
        ask_udp(address, (1472, 1473, 2960, 9000, 30_000, 65_507))
    elif kind == "asyncio":
        asyncio.run(ask_asyncio(address))
    else:
        ask_tcp(address)
    print("equal")


if __name__ == "__main__":
    main()
