"""Debian's haproxy, ab, stunnel, socat, mosquitto, dnsmasq, git and two redis-servers, unmodified, each on a stack of its own."""

import hashlib
import unittest

from lab.process import run
from redis_test import READY, SERVER
from skerry_case import SkerryCase, needs

PYTHON = "/usr/bin/python3"
SERVER_AT, PROXY_AT, CLIENT_AT = "10.77.0.2", "10.77.0.4", "10.77.0.3"


class Servers(SkerryCase):
    LIMIT_S = 180

    def start(self, *argv, ready=None, address=SERVER_AT):
        server = self.serve(*argv, address=address, ready=ready, options=("--uplink", "none", "--share", str(self.folder)))
        if ready:
            self.before = self.stack_frames(address)
        return server

    def ask(self, *argv, **options):
        return super().ask(*argv, options=("--share", str(self.folder)), **options)

    def until(self, *argv, want):
        """Asked again while the server is not there yet: not every server says when it is."""
        script = 'for i in $(seq 200); do "$@" && exit 0; sleep .1; done; exit 1'
        output = self.ask("sh", "-c", script, "sh", *argv, timeout_s=40)
        self.assertIn(want, output)

    def file(self, name, text):
        path = self.folder / name
        path.write_text(text)
        return str(path)

    def certificate(self):
        path = self.folder / "both.pem"
        run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=server",
             "-days", "2", "-keyout", self.folder / "key.pem", "-out", self.folder / "crt.pem"], timeout_s=20)
        path.write_text((self.folder / "key.pem").read_text() + (self.folder / "crt.pem").read_text())
        return str(path)

    def web_server(self):
        self.file("page", "a page\n")
        self.start(PYTHON, "-u", "-m", "http.server", "--protocol", "HTTP/1.1", "--directory", str(self.folder), "8080", ready="Serving")

    @needs("haproxy", "ab")
    def test_haproxy_before_a_web_server_with_ab(self):
        self.web_server()
        config = self.file("haproxy.cfg", f"""
defaults
  mode http
  timeout connect 5s
  timeout client 20s
  timeout server 20s
frontend in
  bind 0.0.0.0:80
  default_backend out
backend out
  server one {SERVER_AT}:8080 check
""")
        self.start("haproxy", "-f", config, address=PROXY_AT)
        self.until("curl", "--silent", "--fail", f"http://{PROXY_AT}/page", want="a page")
        before = self.stack_frames(PROXY_AT)
        output = self.ask("ab", "-q", "-n", "500", "-c", "10", f"http://{PROXY_AT}/page")
        self.assertRegex(output, r"Complete requests: +500\nFailed requests: +0\n")
        self.assertNotIn("Non-2xx", output)
        self.assert_stack_carried(1000, before, PROXY_AT)

    @needs("stunnel4")
    def test_stunnel_before_a_web_server(self):
        self.web_server()
        config = self.file("stunnel.conf", f"""
foreground = yes
pid =
[web]
accept = 0.0.0.0:443
connect = {SERVER_AT}:8080
cert = {self.certificate()}
""")
        self.start("stunnel4", config, ready="Configuration successful", address=PROXY_AT)
        self.until("curl", "--silent", "--fail", "--insecure", f"https://{PROXY_AT}/page", want="a page")
        self.assert_stack_carried(10, self.before, PROXY_AT)

    @needs("socat")
    def test_socat(self):
        """A child for each connection, which answers when the other half of the connection has ended."""
        self.start("socat", "-d", "-d", "-t", "20", "TCP4-LISTEN:7000,reuseaddr,fork", "EXEC:sha256sum", ready="listening on")
        for _ in range(3):
            output = self.ask("sh", "-c", f"head -c 3000000 /dev/zero | socat -t 20 - TCP4:{SERVER_AT}:7000")
            self.assertEqual(output.split()[0], hashlib.sha256(bytes(3000000)).hexdigest())
        self.assert_stack_carried(100, self.before)

    @needs("mosquitto", "mosquitto_pub")
    def test_mosquitto(self):
        config = self.file("mosquitto.conf", "listener 1883 0.0.0.0\nallow_anonymous true\n")
        server = self.start("mosquitto", "-v", "-c", config, ready="running")
        subscriber = self.skerry.begin("run", "--uplink", "none", "--address", "10.77.0.5", "--", "mosquitto_sub", "-h", SERVER_AT,
                                       "-q", "1", "-t", "news", "-C", "20")
        server.wait_for("Sending SUBACK", timeout_s=20)
        self.ask("sh", "-c", f"seq 20 | mosquitto_pub -h {SERVER_AT} -q 1 -t news -l")
        self.assertEqual(subscriber.wait(20), 0)
        self.assertEqual(subscriber.output().split(), [str(number) for number in range(1, 21)])
        self.assert_stack_carried(10, self.before)

    @needs("dnsmasq")
    def test_dnsmasq(self):
        """Names over datagrams, and over TCP, by a resolver that is not libc's own code but asks as libc does."""
        self.start("dnsmasq", "--no-daemon", "--no-resolv", "--no-hosts", "--port=53", "--user=root", "--conf-file=/dev/null", f"--listen-address={SERVER_AT}",
                   "--bind-interfaces", "--address=/rock.example/192.0.2.7", ready="started")
        script = self.file("ask.py", f"""
import socket, struct
query = struct.pack('!6H', 7, 0x100, 1, 0, 0, 0) + b'\\4rock\\7example\\0' + struct.pack('!2H', 1, 1)
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
    one.connect(('{SERVER_AT}', 53)); one.settimeout(10); one.send(query); print(socket.inet_ntoa(one.recv(512)[-4:]))
with socket.create_connection(('{SERVER_AT}', 53), 10) as one:
    one.sendall(struct.pack('!H', len(query)) + query); print(socket.inet_ntoa(one.recv(512)[-4:]))
""")
        self.assertEqual(self.ask(PYTHON, script).split(), ["192.0.2.7"] * 2)
        self.assert_stack_carried(4, self.before)

    def test_redis_replicates_between_stacks_with_four_threads(self):
        for name in ("first", "second"):
            (self.folder / name).mkdir()
        self.start(*SERVER, "--dir", self.folder / "first", "--repl-diskless-sync-delay", "0", "--io-threads", "4", "--io-threads-do-reads", "yes", ready=READY)
        before = self.before
        self.ask("redis-benchmark", "-h", SERVER_AT, "-q", "-t", "set", "-n", "3000", "-r", "100000", "-c", "20", "-P", "4", timeout_s=80)
        self.start(*SERVER, "--dir", self.folder / "second", "--replicaof", SERVER_AT, "6379", ready="Finished with success", address=PROXY_AT)
        # WAIT is about what its own connection wrote.
        said = self.ask("sh", "-c", f"printf 'set last word\\nwait 1 20000\\n' | redis-cli -h {SERVER_AT}", timeout_s=60)
        self.assertEqual(said.split(), ["OK", "1"])
        self.assertEqual(self.ask("redis-cli", "-h", PROXY_AT, "get", "last").strip(), "word")
        size = self.ask("redis-cli", "-h", SERVER_AT, "dbsize").strip()
        self.assertGreater(int(size), 2500)
        self.assertEqual(self.ask("redis-cli", "-h", PROXY_AT, "dbsize").strip(), size)
        self.assert_stack_carried(300, before)
        self.assert_stack_carried(2 * 3, self.before, PROXY_AT)

    @needs("git")
    def test_git_clones_over_http(self):
        repository = self.folder / "site.git"
        script = (f"export HOME={self.folder} GIT_CONFIG_NOSYSTEM=1; cd {self.folder} && git init -q work && cd work && head -c 300000 /dev/urandom > blob"
                  " && git add . && git -c user.name=n -c user.email=e commit -qm one && git clone -q --bare . ../site.git"
                  " && git -C ../site.git update-server-info")
        run(["sh", "-c", script], timeout_s=30)
        self.start(PYTHON, "-u", "-m", "http.server", "--directory", str(repository.parent), "8080", ready="Serving")
        self.ask("git", "clone", "-q", f"http://{SERVER_AT}:8080/site.git", str(self.folder / "copy"))
        self.assertEqual((self.folder / "copy/blob").read_bytes(), (self.folder / "work/blob").read_bytes())
        self.assert_stack_carried(20, self.before)


if __name__ == "__main__":
    unittest.main()
