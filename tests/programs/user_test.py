"""Without any privilege: programs reach what the host reaches, and the host reaches what they publish, through Debian's passt.

Where root runs the tests, "the host" is a network namespace with nothing but a loopback; otherwise it is this machine, of which
only the loopback is used.
"""

import hashlib
import json
import os
import shutil
import socket
import time
import unittest
from pathlib import Path

from lab.namespace import Namespace
from lab.process import Running, run
from skerry_case import Rootless, needs_root

HERE = Path(__file__).parent
PYTHON = "/usr/bin/python3"
CURL = ("curl", "--silent", "--show-error", "--max-time", "30")
FOREIGN = "203.0.113.9"  # an address of the host that is not on its loopback network (RFC 5737)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


@unittest.skipUnless(shutil.which("passt"), "passt is not installed")
class UserCase(Rootless):
    host = ()  # words before a command that runs on the host

    def before(self):
        if os.geteuid() == 0:
            namespace = self.enterContext(Namespace())
            self.host = namespace.inside()
            namespace.run("ip", "link", "set", "lo", "up")
            namespace.run("ip", "address", "add", FOREIGN, "dev", "lo")
        return list(self.host)

    def setUp(self):
        super().setUp()
        self.big = self.folder / "big"
        self.big.write_bytes(os.urandom(1 << 20) * 24)
        self.digest = hashlib.sha256(self.big.read_bytes()).hexdigest()

    def on_the_host(self, *argv, ready=None):
        program = self.enterContext(Running([*self.host, *argv]))
        if ready:
            program.wait_for(ready, timeout_s=20)
        return program

    def file_server_on_the_host(self, address="127.0.0.1"):
        port = free_port()
        self.on_the_host(PYTHON, "-u", "-m", "http.server", "--bind", address, "--directory", str(self.folder), str(port), ready="Serving")
        return port

    def client(self, *argv, options=("--uplink", "user")):
        """A program that does something and stays, so that what its stack counted can be read."""
        program = self.skerry.begin("run", *options, "--name", "client", "--address", "10.77.0.2", "--share", str(self.folder), "--",
                                    "sh", "-c", '"$@" && echo that was all; exec sleep 100', "sh", *argv)
        program.wait_for("that was all", timeout_s=60)
        return program

    def publish_file_server(self, *options):
        """A file server on a stack, and the port of the host that leads to it."""
        port = free_port()
        server = self.skerry.begin("run", *options, "-p", f"127.0.0.1:{port}:8080", "--address", "10.77.0.2", "--share", str(self.folder),
                                   "--", PYTHON, "-u", "-m", "http.server", "--directory", str(self.folder), "8080")
        server.wait_for("Serving", timeout_s=20)
        return server, port

    def fetch(self, port, name="big"):
        """From the host; the hash of what came."""
        to = self.folder / "fetched"
        run([*self.host, *CURL, "--output", to, f"http://127.0.0.1:{port}/{name}"], timeout_s=40)
        return hashlib.sha256(to.read_bytes()).hexdigest()


class Outwards(UserCase):
    def test_a_file_from_the_hosts_loopback(self):
        port = self.file_server_on_the_host()
        self.client(*CURL, "--output", str(self.folder / "fetched"), f"http://host:{port}/big")
        self.assertEqual(hashlib.sha256((self.folder / "fetched").read_bytes()).hexdigest(), self.digest)
        self.assertGreater(self.stack_frames(), 100)
        self.assertGreater(self.skerry.counters("client.uplink")["rx_bytes"], 24 << 20)

    def test_a_file_to_the_host(self):
        """Super-frames leave whole; what arrives is what was sent."""
        port = free_port()
        sink = ("import hashlib, socket\n"
                f"with socket.create_server(('127.0.0.1', {port})) as server:\n"
                "    print('ready', flush=True)\n"
                "    connection, _ = server.accept()\n"
                "    digest = hashlib.sha256()\n"
                "    while data := connection.recv(1 << 20): digest.update(data)\n"
                "    print(digest.hexdigest(), flush=True)\n")
        server = self.on_the_host(PYTHON, "-c", sink, ready="ready")
        source = (f"import socket\ns = socket.create_connection(('host', {port}))\n"
                  f"s.sendall(open('{self.big}', 'rb').read())\ns.shutdown(socket.SHUT_WR)\ns.recv(1)\n")
        self.client(PYTHON, "-c", source)
        server.wait_for(self.digest, timeout_s=20)
        frames = self.skerry.counters("client.uplink")["tx_frames"]
        self.assertLess(frames, (24 << 20) / 1448, "super-frames left whole")

    def test_user_is_what_one_gets_without_asking(self):
        port = self.file_server_on_the_host()
        self.client(*CURL, "--output", "/dev/null", f"http://10.77.0.1:{port}/big", options=())
        self.skerry.command("run", "--", "true")

    def test_none_is_none(self):
        port = self.file_server_on_the_host()
        code, _ = self.skerry.command("run", "--uplink", "none", "--", *CURL, "--connect-timeout", "1", f"http://10.77.0.1:{port}/big", check=False)
        self.assertIn(code, (7, 28))

    def test_a_closed_port_of_the_host_is_refused(self):
        code, output = self.skerry.command("run", "--uplink", "user", "--", *CURL, f"http://host:{free_port()}/", check=False)
        self.assertEqual(code, 7, output)

    def test_programs_reach_each_other_past_passt(self):
        """passt would answer for every address, and take what is meant for another program."""
        self.skerry.begin("run", "--uplink", "user", "--name", "web", "--address", "10.77.0.3", "--share", str(self.folder), "--",
                          PYTHON, "-u", "-m", "http.server", "--directory", str(self.folder), "8080").wait_for("Serving", timeout_s=20)
        before = self.stack_frames("10.77.0.3")
        self.client(*CURL, "--output", str(self.folder / "fetched"), "http://web:8080/big")
        self.assertEqual(hashlib.sha256((self.folder / "fetched").read_bytes()).hexdigest(), self.digest)
        self.assert_stack_carried(10, before, "10.77.0.3")
        self.assertGreaterEqual(self.skerry.counters("client.uplink")["kept_from_passt"], 1)
        self.assertEqual(self.skerry.counters("client.uplink")["rx_bytes"] >> 10, 0, "nothing but ARP came from passt")


@needs_root("to have a resolver of the host's own")
class ByName(UserCase):
    def before(self):
        words = super().before()
        (self.folder / "resolv.conf").write_text("search nowhere.test\nnameserver 127.0.0.53\n")
        return [*words, "unshare", "--mount", "sh", "-c", f'mount --bind {self.folder}/resolv.conf /etc/resolv.conf && exec "$@"', "sh"]

    def setUp(self):
        super().setUp()
        (self.folder / "zone.json").write_text(json.dumps({"page.skerry.test": [FOREIGN]}))
        self.on_the_host(PYTHON, str(HERE / "name_server.py"), "127.0.0.53", "53", str(self.folder / "zone.json"), ready="ready")

    def test_a_name_that_only_the_hosts_resolver_knows(self):
        """The host's resolver listens on its loopback; the address leads beyond it, by the default route."""
        port = self.file_server_on_the_host(FOREIGN)
        self.client(*CURL, "--output", str(self.folder / "fetched"), f"http://page.skerry.test:{port}/big")
        self.assertEqual(hashlib.sha256((self.folder / "fetched").read_bytes()).hexdigest(), self.digest)


class Inwards(UserCase):
    def test_a_published_file_server(self):
        _, port = self.publish_file_server()
        self.assertEqual(self.fetch(port), self.digest)
        self.assertGreater(self.stack_frames(), 100)

    def test_a_published_udp_port(self):
        port = free_port()
        echo = ("import socket\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\ns.bind(('0.0.0.0', 7))\nprint('ready', flush=True)\n"
                "while True: s.sendto(*s.recvfrom(65535))\n")
        self.skerry.begin("run", "-p", f"{port}:7/udp", "--address", "10.77.0.2", "--", PYTHON, "-uc", echo).wait_for("ready", timeout_s=20)
        ask = (f"import socket\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\ns.settimeout(20)\ns.connect(('127.0.0.1', {port}))\n"
               "for n in range(20):\n    s.send(b'x' * (n * 70))\n    assert s.recv(65535) == b'x' * (n * 70)\n")
        run([*self.host, PYTHON, "-c", ask], timeout_s=30)
        self.assertGreaterEqual(self.stack_frames(), 20)

    def test_a_port_that_is_taken(self):
        _, port = self.publish_file_server()
        for words, sentence in ((("-p", f"{port}:80"), "is published by"),
                                (("--net", "other", "-p", f"{port}:80"), "Address already in use: publish another")):
            code, output = self.skerry.command("run", *words, "--", "/bin/true", check=False)
            self.assertEqual(code, 125, output)
            self.assertIn(sentence, output)
            self.assertEqual(output.count("\n"), 1)

    def test_passt_ends_and_comes_back(self):
        server, port = self.publish_file_server()
        for victim in ("python3.uplink.passt", "python3.uplink", "default.vswitch"):
            with self.subTest(victim):
                run(["kill", "-KILL", str(self.pid_of(victim))], timeout_s=5)
                deadline = time.monotonic() + 20
                while run([*self.host, *CURL, "--output", "/dev/null", f"http://127.0.0.1:{port}/"], timeout_s=40, check=False)[0]:
                    self.assertLess(time.monotonic(), deadline, "the port is not published again")
                    time.sleep(0.05)
                self.assertEqual(self.fetch(port), self.digest)
        self.end(server)

    def test_passt_ends_with_its_program(self):
        server, _ = self.publish_file_server()
        other = self.skerry.begin("run", "--address", "10.77.0.3", "--", "sleep", "100")
        pid = self.pid_of("python3.uplink.passt")
        server.stop()
        deadline = time.monotonic() + 10
        while any(row["name"].startswith("python3") for row in self.skerry.processes()):
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.05)
        self.assertFalse(os.path.exists(f"/proc/{pid}"))
        other.stop()

    def pid_of(self, process):
        return next(row["pid"] for row in self.skerry.processes() if row["name"] == process)


if __name__ == "__main__":
    unittest.main()
