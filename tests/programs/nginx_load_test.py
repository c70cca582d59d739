"""nginx is reloaded, and replaced by another process image of itself, while clients ask: no request fails, no download is cut."""

import hashlib
import re
import signal
import unittest

from nginx_test import SITE, Nginx
from skerry_case import SkerryCase, needs

ROUND = 200  # requests of one ab
RELOADS = 3
FILE_MIB = 16


@needs("ab")
class UnderLoad(Nginx, SkerryCase):
    LIMIT_S = 180

    def load(self):
        """A connection for each request, ten at a time, until told to stop. Where a connection is kept, nginx may close it in the moment
        in which the next request is under way, also on Linux, so that would prove nothing."""
        script = (f"until [ -e {self.folder}/stop ]; do ab -q -s 60 -n {ROUND} -c 10 {SITE}/page.txt || exit 1; done")
        return self.begin("10.77.0.3", script)

    def download(self):
        """A file that the server is in the middle of when it is told to go."""
        got = self.folder / "got"
        loading = self.begin("10.77.0.4", f"curl --silent --show-error --fail --limit-rate 8M --output {got} {SITE}/large")
        self.wait_until(lambda: got.exists() and got.stat().st_size > 0, loading)
        return loading, got

    def begin(self, address, script):
        return self.skerry.begin("run", "--uplink", "none", "--share", self.folder, "--address", address, "--", "sh", "-c", script)

    def rounds(self, load):
        return load.output().count("Complete requests")

    def more_load(self, load, count=2):
        """Returns when so many more rounds of requests have been answered from beginning to end."""
        want = self.rounds(load) + 1 + count
        self.wait_until(lambda: self.rounds(load) >= want, load)

    def check(self, load, loading, got, digest, before):
        (self.folder / "stop").touch()
        self.assertEqual(load.wait(60), 0, load.output())
        self.assertEqual(loading.wait(60), 0, loading.output())
        self.assertEqual(hashlib.sha256(got.read_bytes()).hexdigest(), digest)
        output = load.output()
        self.assertEqual(re.findall(r"Complete requests: +(\d+)\nFailed requests: +(\d+)", output), [(str(ROUND), "0")] * self.rounds(load))
        self.assertNotRegex(output, "Non-2xx|apr_")
        self.assert_stack_carried(self.rounds(load) * ROUND, before)

    def test_reload(self):
        digest = self.make_file(FILE_MIB)
        server = self.start()
        load = self.load()
        self.more_load(load)
        loading, got = self.download()
        for turn in range(RELOADS):
            server.process.send_signal(signal.SIGHUP)
            for worker in range(3 + 4 * (turn + 1), 7 + 4 * (turn + 1)):
                server.wait_for(f"start worker process {worker}\n", timeout_s=30)
            self.more_load(load)
        self.check(load, loading, got, digest, self.before)

    def test_binary_upgrade(self):
        """nginx.org, "Upgrading Executable on the Fly": USR2, WINCH and QUIT; the listeners go through exec in NGINX=."""
        digest = self.make_file(FILE_MIB)
        self.configure(daemon="on")
        steps = {name: self.folder / name for name in ("upgrade", "wind", "quit")}
        script = (f"/usr/sbin/nginx -p /tmp -c {self.folder}/nginx.conf 2>/dev/null\n"
                  f"cd {self.folder}\n"
                  "until [ -s nginx.pid ]; do sleep 0.1; done; echo serving\n"
                  "until [ -e upgrade ]; do sleep 0.1; done; kill -USR2 $(cat nginx.pid)\n"
                  "until [ -s nginx.pid.oldbin -a -s nginx.pid ]; do sleep 0.1; done; echo both\n"
                  "until [ -e wind ]; do sleep 0.1; done; kill -WINCH $(cat nginx.pid.oldbin); echo new alone\n"
                  "until [ -e quit ]; do sleep 0.1; done; kill -QUIT $(cat nginx.pid.oldbin)\n"
                  "while [ -e nginx.pid.oldbin ]; do sleep 0.1; done\n"
                  "echo upgraded; exec sleep infinity\n")
        server = self.serve("sh", "-c", script, ready="serving", options=("--uplink", "none", "--share", self.folder))
        before = self.stack_frames()
        load = self.load()
        self.more_load(load)
        loading, got = self.download()
        for step, said in (("upgrade", "both"), ("wind", "new alone"), ("quit", "upgraded")):
            steps[step].touch()
            server.wait_for(said, timeout_s=30)
            self.more_load(load)
        self.check(load, loading, got, digest, before)


if __name__ == "__main__":
    unittest.main()
