"""What a peer sees when processes share, pass, lose and leave sockets: one line a scenario, to be compared with plain Linux.

Run by processes_test.py on both. Nothing here is about time: that a connection is still open is shown by what its holder answers.
"""

import array
import collections
import contextlib
import ctypes
import fcntl
import os
import select
import signal
import socket
import stat
import struct
import subprocess
import sys
import threading

LIMIT_S = 20
LIBC = ctypes.CDLL(None)
STATIC_PROGRAM = os.environ.get("STATIC_PROGRAM")  # sleeps


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


def the_child_that_opened_it_is_killed():
    listener = socket.create_server(("127.0.0.1", 0))
    kept = []
    child = Child(lambda say: (kept.append(socket.create_connection(listener.getsockname())), echo(kept[0])))
    peer, _ = listener.accept()
    peer.settimeout(LIMIT_S)
    yield asked(peer)
    child.end()
    yield sees(peer)


def the_parent_is_killed_and_then_the_child():
    listener = socket.create_server(("127.0.0.1", 0))

    def parent(say):
        mine = socket.create_connection(listener.getsockname())
        listener.close()
        if os.fork() == 0:
            mine.sendall(b"%d" % os.getpid())
            echo(mine)
        signal.pause()

    first = Child(parent)
    peer, _ = listener.accept()
    peer.settimeout(LIMIT_S)
    second = int(sees(peer))
    first.end()
    yield asked(peer)
    os.kill(second, signal.SIGKILL)
    yield sees(peer)


def killed_with_bytes_unread():
    peer, mine = connected()

    def work(say):
        select.select([mine], [], [])
        say()
        signal.pause()

    child = Child(work)
    mine.close()
    peer.sendall(b"never read")
    child.wait_for_word()
    child.end()
    yield sees(peer)


def killed_with_linger_of_nothing():
    peer, mine = connected()
    mine.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    child = Child(sleep_forever)
    child.wait_for_word()
    mine.close()
    child.end()
    yield sees(peer)


def exits_with_bytes_unsent():
    peer, mine = connected()
    child = Child(lambda say: mine.sendall(b"x" * 60000))
    mine.close()
    yield child.reap()
    data = b""
    while piece := peer.recv(65536):
        data += piece
    yield len(data)


def the_parent_closes_and_the_child_exits():
    peer, mine = connected()
    child = Child(lambda say: echo(mine))
    mine.close()
    yield asked(peer)
    peer.shutdown(socket.SHUT_WR)
    yield child.reap()
    yield sees(peer)


def a_child_shuts_down():
    peer, mine = connected()
    child = Child(lambda say: mine.shutdown(socket.SHUT_WR))
    yield child.reap()
    yield sees(peer)
    peer.sendall(b"back")
    yield mine.recv(100).decode()


def a_listener_lives_in_the_child():
    listener = socket.create_server(("127.0.0.1", 0))
    address = listener.getsockname()

    def work(say):
        say()
        accepted = [listener.accept()[0]]
        say()
        echo(accepted[0])
        signal.pause()

    child = Child(work)
    child.wait_for_word()
    listener.close()
    first = socket.create_connection(address)
    first.settimeout(LIMIT_S)
    child.wait_for_word()
    second = socket.create_connection(address)  # which nobody accepts
    second.settimeout(LIMIT_S)
    yield asked(first)
    child.end()
    yield sees(first), sees(second)
    yield socket.socket().connect_ex(address)
    socket.create_server(address, reuse_port=False).close()  # the address is free again
    yield "bound"


def standard_input_and_output_of_a_program():
    peer, mine = connected()
    with subprocess.Popen(["cat"], stdin=mine, stdout=mine) as cat:
        mine.close()
        yield asked(peer)
        cat.kill()
        yield sees(peer)


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


def close_range_in_a_child():
    peer, mine = connected()

    def work(say):
        os.closerange(3, 1000)
        signal.pause()

    child = Child(work)
    while child.wait_for_word():  # until its own end of the pipe is closed too
        pass
    mine.close()
    yield sees(peer)
    child.end()


def a_set_goes_on_with_what_a_child_holds():
    peer, mine = connected()
    number = mine.fileno()
    level, edge = select.epoll(), select.epoll()
    level.register(mine, select.EPOLLIN)
    edge.register(mine, select.EPOLLIN | select.EPOLLET)
    child = Child(sleep_forever)
    child.wait_for_word()
    mine.close()
    peer.sendall(b"never read")
    for _ in range(2):
        yield [(fd == number, events) for fd, events in level.poll(LIMIT_S)]
    yield [(fd == number, events) for fd, events in edge.poll(LIMIT_S)], edge.poll(0)
    other_peer, other = connected()
    while other.fileno() != number:  # another socket has the number now, and nobody has asked about it
        other = other.dup()
    level.register(other, select.EPOLLIN)
    level.unregister(other)
    yield [(fd == number, events) for fd, events in level.poll(LIMIT_S)]
    child.end()
    yield sees(peer), level.poll(0)
    other_peer.close()


def a_daemon():
    peer, mine = connected()

    def work(say):
        os.setsid()
        if os.fork() != 0:
            return
        os.chdir("/")
        null = os.open(os.devnull, os.O_RDWR)
        for number in range(3):
            os.dup2(null, number)
        echo(mine)

    yield Child(work).reap()
    mine.close()
    yield asked(peer)
    peer.shutdown(socket.SHUT_WR)
    yield sees(peer)


def passed_to_a_child_and_one_passed_back():
    ours, theirs = socket.socketpair()
    listener = socket.create_server(("127.0.0.1", 0))

    def work(say):
        ours.close()
        _, descriptors, _, _ = socket.recv_fds(theirs, 1, 1)
        own = socket.create_connection(listener.getsockname())
        socket.send_fds(theirs, [b"x"], [own.fileno()])
        own.close()
        echo(socket.socket(fileno=descriptors[0]))

    child = Child(work)
    theirs.close()
    peer, mine = connected()
    socket.send_fds(ours, [b"x"], [mine.fileno()])
    mine.close()
    yield asked(peer)
    _, descriptors, _, _ = socket.recv_fds(ours, 1, 1)
    other_peer, _ = listener.accept()
    other_peer.settimeout(LIMIT_S)
    peer.shutdown(socket.SHUT_WR)
    yield child.reap()
    yield sees(peer)
    other = socket.socket(fileno=descriptors[0])
    other.sendall(b"from where it was opened")
    yield sees(other_peer)
    other.close()
    yield sees(other_peer)


def passed_by_a_process_that_is_gone():
    ours, theirs = socket.socketpair()
    listener = socket.create_server(("127.0.0.1", 0))

    def work(say):
        own = socket.create_connection(listener.getsockname())
        socket.send_fds(theirs, [b"x"], [own.fileno()])

    child = Child(work)
    peer, _ = listener.accept()
    peer.settimeout(LIMIT_S)
    yield child.reap()
    message, ancillary, _, _ = ours.recvmsg(1, socket.CMSG_SPACE(4))
    (_, _, data), = ancillary
    mine = socket.socket(fileno=array.array("i", data)[0])
    mine.sendall(b"still there")
    yield sees(peer)
    mine.close()
    yield sees(peer)


def passed_and_never_fetched():
    ours, theirs = socket.socketpair()
    peer, mine = connected()
    socket.send_fds(ours, [b"x"], [mine.fileno()])
    mine.close()
    ours.close()
    theirs.close()
    yield sees(peer)


def proc_self_fd():
    _, mine = connected()
    number = str(mine.fileno())
    yield number in os.listdir("/proc/self/fd")
    yield os.readlink(f"/proc/self/fd/{number}").split(":")[0]
    yield stat.S_ISSOCK(os.stat(f"/proc/self/fd/{number}").st_mode)
    try:
        os.open(f"/proc/self/fd/{number}", os.O_RDWR)
    except OSError as problem:
        yield problem.errno
    mine.close()
    yield number in os.listdir("/proc/self/fd")


def without_privilege():
    peer, mine = connected()
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(LIMIT_S)

    def work(say):
        if os.geteuid() == 0:
            with contextlib.suppress(OSError):  # in a user namespace that knows one user only
                os.setgroups([])
                os.setgid(65534)
                os.setuid(65534)
        own = socket.create_connection(listener.getsockname())
        own.sendall(mine.recv(100))
        if os.fork() == 0:
            echo(mine)
            os._exit(0)
        os.wait()

    child = Child(work)
    mine.close()
    peer.sendall(b"ping")
    own, _ = listener.accept()
    own.settimeout(LIMIT_S)
    yield sees(own)
    yield asked(peer)
    peer.shutdown(socket.SHUT_WR)
    yield child.reap()
    yield sees(peer), sees(own)


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


CLONE_VM, CLONE_FILES, CLONE_VFORK = 0x100, 0x400, 0x4000
STACK_BYTES = 1 << 20


def clone(function, argument, flags):
    """A child of libc's clone(), for which no handler of pthread_atfork() runs; its stack is not given back."""
    LIBC.mmap.restype = ctypes.c_void_p
    stack = LIBC.mmap(None, ctypes.c_size_t(STACK_BYTES), 3, 0x22, -1, ctypes.c_long(0)) + STACK_BYTES
    return LIBC.clone(function, ctypes.c_void_p(stack), flags | signal.SIGCHLD, ctypes.c_void_p(argument))


def status_of(pid):
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def a_child_of_clone_closes():
    """In each of these but the last its own number alone."""
    for flags in (0, CLONE_VM, CLONE_VM | CLONE_VFORK, CLONE_VM | CLONE_FILES):
        peer, mine = connected()
        yield status_of(clone(LIBC.close, mine.fileno(), flags))
        with contextlib.suppress(OSError):
            mine.sendall(b"ours")
        yield sees(peer)
        LIBC.close(mine.detach())
        if not flags & CLONE_FILES:
            yield sees(peer)
        peer.close()


def a_child_of_clone_goes_on():
    peer, mine = connected()

    @ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)
    def child(_):
        echo(mine)
        os._exit(3)

    pid = clone(child, None, 0)
    mine.close()
    yield asked(peer)
    peer.shutdown(socket.SHUT_WR)
    yield status_of(pid), sees(peer)


def a_child_of_clone_is_another_program():
    peer, mine = connected()

    @ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)
    def child(_):
        os.dup2(mine.fileno(), 0)
        os.dup2(mine.fileno(), 1)
        os.execv("/bin/cat", ["cat"])

    pid = clone(child, None, 0)
    mine.close()
    yield asked(peer)
    peer.shutdown(socket.SHUT_WR)
    yield status_of(pid), sees(peer)


def a_child_of_clone_starts_one():
    for flags in (0, CLONE_VM | CLONE_VFORK):
        peer, mine = connected()
        mine.set_inheritable(True)
        command = ctypes.create_string_buffer(b"echo by clone >&%d" % mine.fileno())
        yield status_of(clone(LIBC.system, ctypes.addressof(command), flags))
        mine.close()
        yield sees(peer), sees(peer)


def clone_that_fails():
    peer, mine = connected()
    LIBC.clone(None, None, signal.SIGCHLD, None)
    yield clone(LIBC.close, mine.fileno(), 0x800)  # CLONE_SIGHAND without CLONE_VM
    mine.sendall(b"still there")
    yield sees(peer)
    mine.close()
    yield sees(peer)


def a_child_without_handlers():
    """_Fork(), which may be called where fork() may not."""
    peer, mine = connected()
    pid = LIBC._Fork()
    if pid == 0:
        mine.close()
        os._exit(4)
    yield status_of(pid)
    mine.sendall(b"ours")
    yield sees(peer)
    pid = LIBC._Fork()
    if pid == 0:
        echo(mine)
        os._exit(5)
    mine.close()
    yield asked(peer)
    peer.shutdown(socket.SHUT_WR)
    yield status_of(pid), sees(peer)


SCENARIOS = [value for value in list(globals().values())
             if callable(value) and getattr(value, "__code__", None) and value.__code__.co_flags & 0x20]  # generators

if __name__ == "__main__":
    signal.alarm(100)
    for scenario in SCENARIOS:
        if sys.argv[1:] and scenario.__name__ not in sys.argv[1:]:
            continue
        try:
            seen = []
            for observation in scenario():
                seen.append(observation)
        except Exception as problem:
            seen.append(repr(problem))
        print(f"{scenario.__name__}: {seen}", flush=True)
