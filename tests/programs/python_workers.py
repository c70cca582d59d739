"""Run on a stack: a server of several processes, and a client that says "equal" if every connection was served.

usage: python_workers.py serve passing|prefork ADDRESS     passing: the parent accepts and passes connections by SCM_RIGHTS;
       python_workers.py ask ADDRESS                        prefork: all accept on the listener that they inherited
"""

import os
import socket
import sys
import threading

PORT = 7002
WORKERS = 4
CONNECTIONS = 60


def echo(connection):
    with connection:
        connection.sendall(b"%d " % os.getpid())
        while data := connection.recv(65536):
            connection.sendall(data)


def work_passed(channel):
    while True:
        message, descriptors, _, _ = socket.recv_fds(channel, 1, 1)
        if not message:
            return
        echo(socket.socket(fileno=descriptors[0]))


def fork_worker(work, *arguments):
    if os.fork() == 0:
        work(*arguments)
        os._exit(0)


def serve_passing(listener):
    channels = []
    for _ in range(WORKERS):
        ours, theirs = socket.socketpair()
        fork_worker(work_passed, theirs)
        theirs.close()
        channels.append(ours)
    print("ready")
    while True:
        for channel in channels:
            connection, _ = listener.accept()
            socket.send_fds(channel, [b"x"], [connection.fileno()])
            connection.close()


def serve_prefork(listener):
    def work():
        while True:
            echo(listener.accept()[0])
    for _ in range(WORKERS):
        fork_worker(work)
    print("ready")
    os.wait()


def ask(address):
    workers, failures = set(), []

    def ask_one(number):
        with socket.create_connection((address, PORT), timeout=20) as connection, connection.makefile("rwb") as stream:
            worker = b""
            while not worker.endswith(b" "):
                worker += stream.read(1)
            workers.add(worker)
            line = b"%d " % number * 2000 + b"\n"
            stream.write(line)
            stream.flush()
            connection.shutdown(socket.SHUT_WR)
            if stream.read() != line:
                failures.append(number)

    for first in range(0, CONNECTIONS, 10):
        threads = [threading.Thread(target=ask_one, args=(number,)) for number in range(first, first + 10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    if failures:
        sys.exit(f"these came back different: {failures}")
    print(f"{len(workers)} workers")
    print("equal")


def main():
    if sys.argv[1] == "ask":
        ask(sys.argv[2])
        return
    kind, address = sys.argv[2:]
    with socket.create_server((address, PORT), backlog=128) as listener:
        {"passing": serve_passing, "prefork": serve_prefork}[kind](listener)


if __name__ == "__main__":
    main()
