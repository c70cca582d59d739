"""Two ends of connections and who holds them: what process_ends.py, program_ends.py and clone_ends.py are made of."""

import os
import signal
import socket

LIMIT_S = 20


def connected():
    """Two ends of a connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        mine = socket.create_connection(listener.getsockname())
        peer, _ = listener.accept()
    peer.settimeout(LIMIT_S)
    return peer, mine


def sees(peer):
    """What comes next for this end."""
    try:
        data = peer.recv(100)
    except ConnectionResetError:
        return "RST"
    return data.decode() if data else "FIN"


def asked(peer, word=b"ping"):
    """The answer of whoever holds the other end."""
    peer.sendall(word)
    return sees(peer)


def echo(mine):
    while data := mine.recv(100):
        mine.sendall(data)


class Child:
    """A forked process that does `work` and exits; what it `says` its parent can wait for."""

    def __init__(self, work):
        ends, say = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(ends)
            status = 1
            try:
                work(lambda: os.write(say, b"."))
                status = 0
            finally:
                os._exit(status)
        os.close(say)
        self.said = ends

    def wait_for_word(self):
        return os.read(self.said, 1)

    def end(self, number=signal.SIGKILL):
        os.kill(self.pid, number)
        self.reap()

    def reap(self):
        os.close(self.said)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def sleep_forever(say):
    say()
    signal.pause()
