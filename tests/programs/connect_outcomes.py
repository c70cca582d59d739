"""How attempts to connect end: one line each, to be compared with plain Linux. What port 9 gets is dropped, and OWN is ours, by
options_test.py.

The attempts run beside each other, since those that nobody answers take three seconds.
"""

import errno
import select
import socket
import struct
import threading

from option_effects import attempt, says

ALL = select.POLLIN | select.POLLOUT | select.POLLPRI | select.POLLRDHUP
NOBODY_LISTENS, NOBODY_ANSWERS = 1, 9
OWN, LOOPBACK = "10.77.0.2", "127.0.0.1"


def ends(port, waits, options=()):
    with socket.socket() as one:
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_SYNCNT, 1)
        for option in options:
            one.setsockopt(*option)
        one.setblocking(waits)
        first = attempt(one.connect, ("127.0.0.1", port))
        told = says(one, ALL, 0 if waits else -1)
        pending = errno.errorcode.get(one.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), "nothing")
        afterwards = says(one, ALL), attempt(one.recv, 1), attempt(one.getpeername)
        again = None if waits else attempt(one.connect, ("127.0.0.1", port))
        return first, told, pending, afterwards, again, says(one, ALL)


def does_not_wait_for_ever():
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", 0, 50_000))
        return attempt(one.connect, ("127.0.0.1", NOBODY_ANSWERS)), attempt(one.connect, ("127.0.0.1", NOBODY_ANSWERS)), says(one, ALL)


def ourselves_answer_at_once(listens, address, bound_to=None):
    seen = []
    for _ in range(50):
        with socket.socket() as listener, socket.socket() as one:
            listener.bind((address, 0))
            if bound_to:
                one.bind((bound_to, 0))
            if listens:
                listener.listen(1)
            listener.setblocking(False)
            one.setblocking(False)
            first = attempt(one.connect, listener.getsockname())
            told = says(one, ALL, 0), says(listener, ALL, 0)
            seen.append(str((first, told, attempt(one.connect, listener.getsockname()))))
    return sorted(set(seen))


def an_epoll_set_tells():
    with socket.socket() as one, select.epoll() as epoll:
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_SYNCNT, 1)
        one.setblocking(False)
        epoll.register(one, select.EPOLLIN | select.EPOLLOUT | select.EPOLLRDHUP | select.EPOLLET)
        before = [hex(events) for _, events in epoll.poll(0)]
        first = attempt(one.connect, ("127.0.0.1", NOBODY_ANSWERS))
        return before, first, [hex(events) for _, events in epoll.poll()], epoll.poll(0)


ATTEMPTS = {
    "refused": lambda: ends(NOBODY_LISTENS, True),
    "refused, not waited for": lambda: ends(NOBODY_LISTENS, False),
    "refused by ourselves": lambda: ourselves_answer_at_once(False, LOOPBACK),
    "accepted by ourselves": lambda: ourselves_answer_at_once(True, LOOPBACK),
    "refused at our own address": lambda: ourselves_answer_at_once(False, OWN),
    "accepted at our own address": lambda: ourselves_answer_at_once(True, OWN),
    "refused at our own address, from the loopback's": lambda: ourselves_answer_at_once(False, OWN, LOOPBACK),
    "accepted at our own address, from the loopback's": lambda: ourselves_answer_at_once(True, OWN, LOOPBACK),
    "timed out": lambda: ends(NOBODY_ANSWERS, True),
    "timed out, not waited for": lambda: ends(NOBODY_ANSWERS, False),
    "timed out by the user": lambda: ends(NOBODY_ANSWERS, True, [(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 500)]),
    "given up by the call": does_not_wait_for_ever,
    "timed out in an epoll set": an_epoll_set_tells,
}

if __name__ == "__main__":
    seen = {}
    workers = [threading.Thread(target=lambda name=name: seen.update({name: ATTEMPTS[name]()})) for name in ATTEMPTS]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    for name in ATTEMPTS:
        print(f"{name}: {seen[name]}", flush=True)
