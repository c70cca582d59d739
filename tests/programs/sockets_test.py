"""python3's socket module, asyncio and http.server, curl and wget, unmodified: between two stacks, and from the host through TAP."""

import unittest
from pathlib import Path

from skerry_case import HostCase, SkerryCase, needs_tap

HERE = Path(__file__).parent
PYTHON = "/usr/bin/python3"


class PythonEcho(SkerryCase):
    def check(self, kind):
        self.serve(PYTHON, "-u", str(HERE / "python_echo.py"), "serve", kind, "10.77.0.2", ready="ready")
        before = self.stack_frames()
        output = self.ask(PYTHON, str(HERE / "python_echo.py"), "ask", kind, "10.77.0.2")
        self.assertEqual(output.split()[-1], "equal", output)
        self.assert_stack_carried(20, before)

    def test_tcp(self):
        self.check("tcp")

    def test_tcp_through_a_dual_stack_listener(self):
        self.check("tcp6")

    def test_udp(self):
        self.check("udp")

    def test_datagrams_that_are_cut(self):
        self.check("cut")

    def test_asyncio(self):
        self.check("asyncio")


class PythonWorkers(SkerryCase):
    """Servers of several processes: the end of a connection is seen when the last of them has closed it."""

    def check(self, kind, least_workers):
        self.serve(PYTHON, "-u", str(HERE / "python_workers.py"), "serve", kind, "10.77.0.2", ready="ready")
        before = self.stack_frames()
        output = self.ask(PYTHON, str(HERE / "python_workers.py"), "ask", "10.77.0.2")
        self.assertEqual(output.split()[-1], "equal", output)
        self.assertGreaterEqual(int(output.split()[0]), least_workers, output)
        self.assert_stack_carried(60 * 3, before)

    def test_connections_that_are_passed_to_workers(self):
        self.check("passing", 4)

    def test_workers_that_accept_on_one_listener(self):
        self.check("prefork", 1)


class CurlByName(SkerryCase):
    def test_a_page_by_name(self):
        """The name is one that Skerry puts into the cell's /etc/hosts: the name of the other program."""
        page = self.folder / "page.txt"
        page.write_text("first light\n" * 20_000)
        self.skerry.begin("run", "--uplink", "none", "--name", "web", "--address", "10.77.0.2", "--share", str(self.folder), "--",
                          PYTHON, "-u", "-m", "http.server", "--directory", str(self.folder), "8080").wait_for("Serving HTTP", 20)
        before = self.stack_frames()
        self.assertEqual(self.ask("curl", "--silent", "--show-error", "--max-time", "20", "http://web:8080/page.txt"), page.read_text())
        self.assert_stack_carried(5, before)

    def test_a_refused_connection_is_refused(self):
        self.serve(PYTHON, "-u", "-m", "http.server", "8080", ready="Serving HTTP")
        code, output = self.skerry.command("run", "--uplink", "none", "--address", "10.77.0.3", "--", "curl", "--silent",
                                           "--show-error", "--max-time", "20", "http://10.77.0.2:8081/", check=False)
        self.assertEqual(code, 7, output)  # curl's own code for it, passed on


class WgetFromPython(SkerryCase):
    def test_a_tree(self):
        """wget follows the links of http.server's listing."""
        tree = self.folder / "tree"
        (tree / "deep").mkdir(parents=True)
        (tree / "one").write_text("one\n")
        (tree / "deep/two").write_text("two\n" * 300_000)
        self.serve(PYTHON, "-u", "-m", "http.server", "--directory", str(tree), "8080", ready="Serving HTTP",
                   options=("--uplink", "none", "--share", self.folder))
        before = self.stack_frames()
        got = self.folder / "got"
        self.ask("wget", "--quiet", "--recursive", "--no-host-directories", "--directory-prefix", got, "http://10.77.0.2:8080/",
                 options=("--share", self.folder))
        for name in ("one", "deep/two"):
            self.assertEqual((got / name).read_text(), (tree / name).read_text())
        self.assert_stack_carried(20, before)

    def test_each_failure_has_its_exit_code(self):
        """wget(1): 4 for a network that fails, 8 for a server that says no; `skerry run` passes them on."""
        self.serve(PYTHON, "-u", "-m", "http.server", "8080", ready="Serving HTTP")
        for url, expected, patience_s in (("10.77.0.2:8081", 4, 20), ("10.77.0.9:8080", 4, 2), ("10.77.0.2:8080/none", 8, 20)):
            code, output = self.skerry.command("run", "--uplink", "none", "--address", "10.77.0.3", "--", "wget", "--quiet",
                                               "--tries=1", f"--timeout={patience_s}", "--output-document=-", f"http://{url}", check=False)
            self.assertEqual(code, expected, f"{url}: {output}")


@needs_tap
class FromTheHost(HostCase):
    def test_asyncio_through_tap(self):
        self.serve(PYTHON, "-u", str(HERE / "python_echo.py"), "serve", "asyncio", "10.77.0.2", ready="ready", options=("--uplink", "tap"))
        before = self.stack_frames()
        self.assertEqual(self.on_host(PYTHON, str(HERE / "python_echo.py"), "ask", "asyncio", "10.77.0.2").split()[-1], "equal")
        self.assert_stack_carried(20, before)

    def test_http_server_through_tap(self):
        page = self.folder / "page.txt"
        page.write_text("through the tap\n" * 20_000)
        self.serve(PYTHON, "-u", "-m", "http.server", "--directory", str(self.folder), "8080", ready="Serving HTTP",
                   options=("--uplink", "tap", "--share", self.folder))
        before = self.stack_frames()
        for fetch in (("curl", "--silent", "--max-time", "20"), ("wget", "--quiet", "--output-document=-")):
            self.assertEqual(self.on_host(*fetch, "http://10.77.0.2:8080/page.txt"), page.read_text())
        self.assert_stack_carried(20, before)


class Loopback(SkerryCase):
    def test_a_program_reaches_itself(self):
        script = ("import socket\n"
                  "listener = socket.create_server(('127.0.0.1', 7000))\n"
                  "near = socket.create_connection(('127.0.0.1', 7000), timeout=10)\n"
                  "far, _ = listener.accept()\n"
                  "near.sendall(b'to and fro')\n"
                  "print(far.recv(100).decode())\n")
        self.assertEqual(self.ask(PYTHON, "-c", script).strip(), "to and fro")

    def test_the_kernel_signals_for_the_stack(self):
        """SIGURG to the owner of a socket, SIGIO with O_ASYNC; a child gets what its group owns."""
        output = self.ask(PYTHON, "-c", '''
import fcntl, os, signal, socket
wanted = {signal.SIGURG, signal.SIGIO}
signal.pthread_sigmask(signal.SIG_BLOCK, wanted)
def told():
    return signal.Signals(signal.sigtimedwait(wanted, 20).si_signo).name
with socket.create_server(("127.0.0.1", 0)) as listener:
    a = socket.create_connection(listener.getsockname())
    b, _ = listener.accept()
fcntl.fcntl(b, fcntl.F_SETOWN, os.getpid())
assert fcntl.fcntl(b, fcntl.F_GETOWN) == os.getpid()
a.send(b"!", socket.MSG_OOB)
print(told(), b.recv(1, socket.MSG_OOB))
fcntl.fcntl(b, fcntl.F_SETFL, fcntl.fcntl(b, fcntl.F_GETFL) | os.O_ASYNC)
a.send(b"plain")
print(told(), b.recv(5))
os.setpgid(0, 0)
fcntl.fcntl(b, fcntl.F_SETFL, 0)
fcntl.fcntl(b, fcntl.F_SETOWN, -os.getpgrp())
assert fcntl.ioctl(b, 0x8904, bytes(4)) == (-os.getpgrp()).to_bytes(4, "little", signed=True)  # SIOCGPGRP
read, write = os.pipe()
if os.fork() == 0:
    os.write(write, b".")
    os._exit(0 if told() == "SIGURG" else 1)
os.read(read, 1)
a.send(b"?", socket.MSG_OOB)
print(os.wait()[1], told())
''')
        self.assertEqual(output.splitlines(), ["SIGURG b'!'", "SIGIO b'plain'", "0 SIGURG"])

    def test_the_hosts_loopback_is_another(self):
        """A listener on the host's 127.0.0.1 is not reached from inside a cell."""
        import socket
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.setblocking(False)
            port = listener.getsockname()[1]
            script = f"import socket; print(socket.socket().connect_ex(('127.0.0.1', {port})))"
            self.assertEqual(self.ask(PYTHON, "-c", script).strip(), "111")  # ECONNREFUSED
            with self.assertRaises(BlockingIOError):
                listener.accept()


if __name__ == "__main__":
    unittest.main()
