"""What a peer sees of sockets that programs are given, find where they read and print, or take along: one line a scenario, to be compared with plain Linux.

Run by processes_test.py on both. Nothing here is about time: that a connection is still open is shown by what its holder answers.
"""

import collections
import contextlib
import ctypes
import fcntl
import os
import signal
import socket
import subprocess
import sys
import threading

from ends import LIMIT_S, Child, asked, connected, echo, sees
from scenarios import run_all

LIBC = ctypes.CDLL(None)
STATIC_PROGRAM = os.environ.get("STATIC_PROGRAM")  # sleeps


def standard_input_and_output_of_a_program():
    peer, mine = connected()
    with subprocess.Popen(["cat"], stdin=mine, stdout=mine) as cat:
        mine.close()
        yield asked(peer)
        cat.kill()
        yield sees(peer)


def a_program_that_prints_and_scans():
    """By libc's own streams, which know nothing but the numbers."""
    peer, mine = connected()
    with subprocess.Popen(["sh", "-c", "date -u -d @0 +%F; exec sed -u s/ping/pong/"], stdin=mine, stdout=mine) as program:
        mine.close()
        yield sees(peer), asked(peer, b"ping\n"), asked(peer, b"ping pong\n")
        peer.shutdown(socket.SHUT_WR)
        yield program.wait(LIMIT_S), sees(peer)


def a_shell_that_connects():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        script = f"exec 3<>/dev/tcp/127.0.0.1/{port}; echo hello >&3; read line <&3; printf '%s, too' \"$line\" >&3; echo here"
        with subprocess.Popen(["bash", "-c", script], stdout=subprocess.PIPE) as shell:
            peer, _ = listener.accept()
            peer.settimeout(LIMIT_S)
            yield sees(peer), asked(peer, b"world\n"), sees(peer), shell.stdout.read()


def a_descriptor_that_a_program_is_given():
    peer, mine = connected()
    number = mine.fileno()
    with subprocess.Popen(["sh", "-c", f"exec cat <&{number} >&{number}"], pass_fds=[number]) as cat:
        mine.close()
        yield asked(peer)
        peer.shutdown(socket.SHUT_WR)
        yield cat.wait(LIMIT_S)
        yield sees(peer)


def a_descriptor_that_a_program_is_not_given():
    peer, mine = connected()
    with subprocess.Popen(["sleep", "100"]) as program:
        mine.close()
        yield sees(peer)
        program.kill()


def posix_spawn():
    peer, mine = connected()
    os.set_inheritable(mine.fileno(), True)
    number = mine.fileno()
    pid = os.posix_spawn("/bin/sh", ["sh", "-c", f"exec cat <&{number} >&{number}"], os.environ)
    mine.close()
    yield asked(peer)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    yield sees(peer)


def posix_spawn_with_a_socket_as_its_input():
    peer, mine = connected()
    actions = [(os.POSIX_SPAWN_DUP2, mine.fileno(), 0), (os.POSIX_SPAWN_DUP2, mine.fileno(), 1), (os.POSIX_SPAWN_CLOSE, mine.fileno())]
    pid = os.posix_spawn("/bin/cat", ["cat"], os.environ, file_actions=actions)
    mine.close()
    yield asked(peer)
    peer.shutdown(socket.SHUT_WR)
    yield os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    yield sees(peer)


def posix_spawn_with_a_number_on_itself():
    """Which makes it the child's although it is close-on-exec."""
    peer, mine = connected()
    number = mine.fileno()
    pid = os.posix_spawn("/bin/sh", ["sh", "-c", f"exec cat <&{number} >&{number}"], os.environ,
                         file_actions=[(os.POSIX_SPAWN_DUP2, number, number)])
    mine.close()
    yield asked(peer)
    peer.shutdown(socket.SHUT_WR)
    yield os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    yield sees(peer)


def posix_spawn_of_what_is_not_there():
    peer, mine = connected()
    os.set_inheritable(mine.fileno(), True)
    try:
        os.posix_spawn("/bin/no such program", ["none"], os.environ)
    except OSError as problem:
        yield problem.errno
    mine.close()
    yield sees(peer)


def system():
    peer, mine = connected()
    os.set_inheritable(mine.fileno(), True)
    yield LIBC.system(b"echo by system >&%d" % mine.fileno())
    yield sees(peer)
    mine.close()
    yield sees(peer)


def popen():
    peer, mine = connected()
    os.set_inheritable(mine.fileno(), True)
    LIBC.popen.restype = ctypes.c_void_p
    stream = LIBC.popen(b"echo by popen >&%d" % mine.fileno(), b"r")
    yield sees(peer)
    yield LIBC.pclose(ctypes.c_void_p(stream))
    mine.close()
    yield sees(peer)


def popen_has_what_was_open_when_it_was_called():
    """The shell finds its parent's number to be another socket's by the time it looks."""
    peer, mine = connected()
    other_peer, other = connected()
    number = mine.fileno()
    os.set_inheritable(number, True)
    LIBC.popen.restype = ctypes.c_void_p
    stream = LIBC.popen(b"read word <&%d; echo $word >&%d" % (number, number), b"r")
    os.dup2(other.fileno(), number)
    other.close()
    mine.close()
    yield sees(other_peer)
    yield asked(peer, b"ping\n")
    yield LIBC.pclose(ctypes.c_void_p(stream))
    yield sees(peer)


def popen_in_many_threads():
    """Commands are started while others open and close sockets, which none of them was given or all."""
    stop = threading.Event()
    seen = collections.Counter()
    problems = []

    def start():
        while not stop.is_set():
            with os.popen("echo word") as stream:
                if stream.read() != "word\n":
                    problems.append("lost")

    def shells():
        LIBC.popen.restype = ctypes.c_void_p
        while not stop.is_set():
            LIBC.pclose(ctypes.c_void_p(LIBC.popen(b"true", b"r")))

    def connect():
        for _ in range(40):
            peer, mine = connected()
            mine.set_inheritable(True)
            mine.close()
            seen[sees(peer)] += 1
            peer.close()

    others = [threading.Thread(target=work) for work in (start, shells, shells)]
    connecting = [threading.Thread(target=connect) for _ in range(2)]
    for thread in others + connecting:
        thread.start()
    for thread in connecting:
        thread.join()
    stop.set()
    for thread in others:
        thread.join()
    yield dict(seen), problems


def what_popen_is():
    LIBC.popen.restype = ctypes.c_void_p

    def open_command(command, how):
        stream = LIBC.popen(command, how)
        return stream and ctypes.c_void_p(stream)

    first = open_command(b"read word; exit $((word))", b"w")
    second = open_command(b"read word; exit 4", b"we")  # which has not the other's stream
    yield [bool(fcntl.fcntl(LIBC.fileno(stream), fcntl.F_GETFD) & fcntl.FD_CLOEXEC) for stream in (first, second)]
    yield LIBC.fputs(b"3\n", first) >= 0, LIBC.pclose(first), LIBC.fclose(second)  # which waits, too
    yield [open_command(b"true", wrong) for wrong in (b"", b"rw", b"x")]
    yield os.popen("echo word; exit 5").read()


def system_and_signals():
    yield LIBC.system(None), LIBC.system(b"exit 5"), LIBC.system(b"kill -9 $$"), LIBC.system(b"exec /no/such/program 2>/dev/null")
    caught = []
    signal.signal(signal.SIGINT, lambda *_: caught.append(1))
    yield LIBC.system(b"kill -INT $PPID; kill -INT $$"), list(caught)  # the one ignores it, the other does not
    os.kill(os.getpid(), signal.SIGINT)
    yield list(caught), signal.pthread_sigmask(signal.SIG_BLOCK, [])
    signal.signal(signal.SIGINT, signal.default_int_handler)


def a_static_program_is_not_given_it():
    """Which has no library of ours that could say so."""
    peer, mine = connected()
    with subprocess.Popen([STATIC_PROGRAM]) as program:
        mine.close()
        yield sees(peer)
        program.kill()


def a_static_program_is_given_it():
    peer, mine = connected()
    other_peer, other = connected()
    with subprocess.Popen([STATIC_PROGRAM], pass_fds=[mine.fileno()]) as program:
        mine.close()
        other.close()
        yield sees(other_peer)
        peer.sendall(b"never read")
        program.kill()
    yield sees(peer)


def an_image_that_cannot_be_is_none():
    peer, mine = connected()

    def work(say):
        with contextlib.suppress(OSError):
            os.execv("/dev/null", ["null"])
        echo(mine)

    child = Child(work)
    mine.close()
    yield asked(peer)
    child.end()
    yield sees(peer)


def an_image_keeps_what_it_may():
    peer, mine = connected()
    other_peer, other = connected()
    mine.set_inheritable(True)

    def work(say):
        os.execlp("sh", "sh", "-c", f"exec cat <&{mine.fileno()} >&{mine.fileno()}")

    child = Child(work)
    mine.close()
    yield asked(peer)
    other.close()  # close-on-exec, so the child has none either
    yield sees(other_peer)
    child.end()
    yield sees(peer)


if __name__ == "__main__":
    run_all(sys.modules[__name__])
