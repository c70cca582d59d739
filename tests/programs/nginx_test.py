"""Debian's nginx with four workers, unmodified: asked by curl, wget and wrk from another stack, and from the host through TAP."""

import hashlib
import os
import random
import re
import signal
import unittest

from skerry_case import HostCase, SkerryCase, needs_tap

READY = "start worker processes"  # it listens then
SITE = "http://10.77.0.2:8080"
# A gigabyte by hand: SKERRY_FILE_MIB=1024 ./test programs
FILE_MIB = int(os.environ.get("SKERRY_FILE_MIB", "32"))
CONFIG = """
daemon {daemon};
worker_processes 4;
{user}
error_log stderr notice;
pid {folder}/nginx.pid;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  sendfile {sendfile}; tcp_nopush on; keepalive_requests 1000000;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{
    listen {port} {listen};
    root {folder};
    client_max_body_size 0; dav_methods PUT;
    location = /worker {{ return 200 "$pid"; }}
    location /through/ {{ proxy_pass http://127.0.0.1:{port}/; }}
  }}
}}
"""


class Nginx:
    """What all ways of reaching it share."""

    def configure(self, sendfile="on", listen="", daemon="off", port=8080, user="user root root;"):
        """Writes its configuration into the folder, and a page; returns the words that start it."""
        (self.folder / "page.txt").write_text("a page of nginx\n")
        text = CONFIG.format(sendfile=sendfile, listen=listen, daemon=daemon, port=port, user=user, folder=self.folder)
        (self.folder / "nginx.conf").write_text(text)
        os.chmod(self.folder, 0o777)
        return ["nginx", "-p", "/tmp", "-c", self.folder / "nginx.conf"]

    def start(self, options=("--uplink", "none"), **settings):
        server = self.serve(*self.configure(**settings), ready=READY, options=(*options, "--share", self.folder))
        self.before = self.stack_frames()
        return server

    def make_file(self, mib=FILE_MIB):
        """The file "large" in the folder; returns its sha256."""
        digest, source = hashlib.sha256(), random.Random(1)
        with open(self.folder / "large", "wb") as file:
            for _ in range(mib):
                piece = source.randbytes(1 << 20)
                digest.update(piece)
                file.write(piece)
        return digest.hexdigest()

    def check_wrk(self, output):
        """wrk prints how many answers it got, and a line more for each kind of failure."""
        self.assertGreater(int(re.search(r"(\d+) requests in", output).group(1)), 100, output)
        self.assertNotRegex(output, "Socket errors|Non-2xx")


class BetweenStacks(Nginx, SkerryCase):
    LIMIT_S = 60 + FILE_MIB

    def curl(self, *words, timeout_s=30):
        return self.ask("curl", "--silent", "--show-error", "--fail", "--max-time", str(timeout_s - 5), *words, timeout_s=timeout_s)

    def digest_of(self, path):
        command = f"curl --silent --show-error --fail {SITE}{path} | sha256sum"
        return self.ask("bash", "-o", "pipefail", "-c", command, timeout_s=30 + FILE_MIB).split()[0]

    def test_a_page_with_curl_and_wget(self):
        self.start()
        self.assertEqual(self.curl(f"{SITE}/page.txt"), "a page of nginx\n")
        self.assertEqual(self.ask("wget", "--quiet", "--output-document=-", f"{SITE}/page.txt"), "a page of nginx\n")
        self.assertIn("404", self.ask("bash", "-c", f"wget --server-response --output-document=- {SITE}/none 2>&1 || true"))
        self.assert_stack_carried(15, self.before)

    def test_a_large_file_with_sendfile(self):
        digest = self.make_file()
        self.start()
        self.assertEqual(self.digest_of("/large"), digest)
        self.assertEqual(self.digest_of("/through/large"), digest)  # nginx as its own client and proxy
        self.assert_stack_carried(FILE_MIB, self.before)

    def test_a_large_file_with_writev(self):
        digest = self.make_file()
        self.start(sendfile="off")
        self.assertEqual(self.digest_of("/large"), digest)
        self.assert_stack_carried(FILE_MIB // 2, self.before)

    def test_many_kept_connections(self):
        self.start()
        output = self.ask("wrk", "--threads", "2", "--connections", "100", "--duration", "2", "--timeout", "10", f"{SITE}/page.txt")
        self.check_wrk(output)
        self.assert_stack_carried(100, self.before)

    def test_each_worker_with_a_listener_of_its_own(self):
        """reuseport: the stack spreads connections over four sockets; all must be answered."""
        self.start(listen="reuseport")
        output = self.ask("bash", "-c", f"for i in $(seq 40); do curl --silent --max-time 20 {SITE}/worker; echo; done", timeout_s=80)
        self.assertEqual(len(output.split()), 40, output)
        self.assertGreater(len(set(output.split())), 1, output)
        self.assert_stack_carried(40 * 3, self.before)

    def test_reload_and_quit(self):
        """HUP: new workers take over the inherited listeners; QUIT: all end by themselves."""
        server = self.start()
        first = self.curl(f"{SITE}/worker")
        server.process.send_signal(signal.SIGHUP)  # skerry run passes signals on
        for worker in range(3, 7):
            server.wait_for(f"worker process {worker} exited with code 0", timeout_s=20)
        self.assertNotEqual(self.curl(f"{SITE}/worker"), first)
        self.assert_stack_carried(2 * 3, self.before)
        server.process.send_signal(signal.SIGQUIT)
        self.assertEqual(server.wait(timeout_s=10), 0, server.output())

    def test_upgrade_in_place(self):
        """USR2: the master executes itself with an environment of its own and hands its listeners over; QUIT ends the old one."""
        self.configure(daemon="on")
        script = (f"/usr/sbin/nginx -p /tmp -c {self.folder}/nginx.conf 2>/dev/null\n"
                  f"cd {self.folder}\n"
                  "until [ -s nginx.pid ] && [ $(cat /proc/$(cat nginx.pid)/task/*/children | wc -w) -ge 4 ]; do sleep 0.1; done\n"
                  "kill -USR2 $(cat nginx.pid)\n"
                  "until [ -s nginx.pid.oldbin -a -s nginx.pid ]; do sleep 0.1; done; kill -QUIT $(cat nginx.pid.oldbin)\n"
                  "while [ -e nginx.pid.oldbin ]; do sleep 0.1; done\n"
                  "echo upgraded; exec sleep infinity\n")
        self.serve("sh", "-c", script, ready="upgraded", options=("--uplink", "none", "--share", self.folder))
        before = self.stack_frames()
        self.assertEqual(self.curl(f"{SITE}/page.txt"), "a page of nginx\n")
        self.assert_stack_carried(3, before)


@needs_tap
class FromTheHost(Nginx, HostCase):
    def test_nginx_through_tap(self):
        digest = self.make_file()
        self.start(options=("--uplink", "tap"))
        self.on_host("curl", "--silent", "--fail", "--output", self.folder / "curl", f"{SITE}/large", timeout_s=30 + FILE_MIB)
        self.assertEqual(hashlib.sha256((self.folder / "curl").read_bytes()).hexdigest(), digest)
        self.on_host("wget", "--quiet", "--output-document", self.folder / "wget", f"{SITE}/page.txt")
        self.assertEqual((self.folder / "wget").read_text(), "a page of nginx\n")
        self.check_wrk(self.on_host("wrk", "--threads", "2", "--connections", "50", "--duration", "2", "--timeout", "10", f"{SITE}/page.txt"))
        self.assert_stack_carried(100, self.before)


if __name__ == "__main__":
    unittest.main()
