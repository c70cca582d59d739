"""What a peer hears of programs whose stdin, stdout and stderr are sockets: one line a case, to be compared with plain Linux.

standard_streams.py PROGRAM, which is standard_streams.cpp; run by standard_streams_test.py on both.
"""

import signal
import socket
import subprocess
import sys

LIMIT_S = 20
PROGRAM = sys.argv[1]
REDIRECTING = ("redirected", "redirected_and_back", "closed_and_given_again", "lines", "unbuffered", "much", "in_a_child", "dropped_by_exec", "closed", "reopened")


def connected():
    """Two ends of a connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        theirs = socket.create_connection(listener.getsockname())
        peer, _ = listener.accept()
    peer.settimeout(LIMIT_S)
    return peer, theirs


def all_of(peer):
    """Until its end."""
    text = b""
    while piece := peer.recv(65536):
        text += piece
    return text.decode() if len(text) < 200 else f"{len(text)} bytes, {text[:10]} to {text[-10:]}"


def served(way, text, stderr=None):
    """A program that inetd(8) would start."""
    peer, theirs = connected()
    with subprocess.Popen([PROGRAM, way], stdin=theirs, stdout=theirs, stderr=stderr or theirs) as program:
        theirs.close()
        peer.sendall(text)
        peer.shutdown(socket.SHUT_WR)
        return all_of(peer), program.wait(LIMIT_S)


def redirecting(way, text=b"", to_socket=b"", hang_up=False):
    """A program that does it itself, with a descriptor that it was given: what the peer heard, and what was printed elsewhere."""
    peer, theirs = connected()
    with subprocess.Popen([PROGRAM, way, str(theirs.fileno())], pass_fds=[theirs.fileno()], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE) as program:
        theirs.close()
        if hang_up:
            peer.close()
        else:
            peer.sendall(to_socket)
            peer.shutdown(socket.SHUT_WR)
        output, errors = program.communicate(text, LIMIT_S)
        return None if hang_up else all_of(peer), output.decode(), errors.decode(), program.returncode


def conversation():
    """An answer before the next question."""
    peer, theirs = connected()
    with subprocess.Popen([PROGRAM, "server"], stdin=theirs, stdout=theirs) as program:
        theirs.close()
        for word in (b"one\n", b"two\n"):
            peer.sendall(word)
            yield peer.recv(100).decode()
        peer.shutdown(socket.SHUT_WR)
        yield all_of(peer), program.wait(LIMIT_S)


def bash(script, *answers, greeting=b""):
    """bash, that connects itself; what the server heard before each answer and after the last, and what bash printed."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        with subprocess.Popen(["bash", "-c", script.replace("PORT", str(listener.getsockname()[1]))], stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as program:
            peer, _ = listener.accept()
            peer.settimeout(LIMIT_S)
            peer.sendall(greeting)
            heard = []
            for answer in answers:
                heard.append(peer.recv(100).decode())
                peer.sendall(answer)
            peer.shutdown(socket.SHUT_WR)
            heard.append(all_of(peer))
            return heard, program.communicate(timeout=LIMIT_S)[0].decode(), program.returncode


def cases():
    yield "served", served("server", b"one\ntwo\nhalf")
    yield "characters", served("characters", b"banana\n.21\n")
    yield "cpp", served("cpp", b"three four five\n")
    yield "conversation", list(conversation())
    for way in REDIRECTING:
        yield way, redirecting(way)
    yield "read_ahead", redirecting("read_ahead", b"first\nsecond\n", b"from the socket\n")
    yield "to_a_closed_peer", redirecting("to_a_closed_peer", hang_up=True)
    yield "bash asks", bash("exec 3<>/dev/tcp/127.0.0.1/PORT; echo GET >&3; cat <&3; echo over", b"answer\n")
    yield "bash reads", bash('exec 3<>/dev/tcp/127.0.0.1/PORT; printf "%s\\n" one >&3; read word <&3; echo "$word"; echo two >&3; read word <&3; echo "$word"', b"1\n", b"2\n")
    yield "bash speaks", bash("exec >/dev/tcp/127.0.0.1/PORT 2>&1; echo one; no-such-command-here; (echo two); type cd; /bin/echo three")
    yield "bash listens", bash("while read word; do echo \"<$word>\"; done </dev/tcp/127.0.0.1/PORT; cat <<< inside; echo over", greeting=b"one\ntwo\n")
    yield "bash, a pipe", bash("exec 3<>/dev/tcp/127.0.0.1/PORT; { echo one; echo two; } | sort -r >&3; echo three 1>&3 2>&1")


if __name__ == "__main__":
    signal.alarm(100)
    for name, seen in cases():
        print(f"{name}: {seen}", flush=True)
