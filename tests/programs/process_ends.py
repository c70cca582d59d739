"""What a peer sees when processes share, pass, lose and leave sockets: one line a scenario, to be compared with plain Linux.

Run by processes_test.py on both. Nothing here is about time: that a connection is still open is shown by what its holder answers.
"""

import array
import contextlib
import os
import select
import signal
import socket
import stat
import struct
import sys

from ends import LIMIT_S, Child, asked, connected, echo, sees, sleep_forever
from scenarios import run_all


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


if __name__ == "__main__":
    run_all(sys.modules[__name__])
