"""Debian's node and java, unmodified, as server and as client, and three servers that a shell starts on one stack."""

import hashlib
import unittest
from pathlib import Path

from skerry_case import SkerryCase, needs

HERE = Path(__file__).parent
SERVER_AT = "10.77.0.2"
READY_WITHIN_S = 60  # a JVM that compiles its source, seven processes of node: all on one core
THREE_SERVERS = """
cd "$1"
redis-server --save "" --protected-mode no --bind 0.0.0.0 --port 6379 --daemonize yes --logfile "" --dir "$1" >/dev/null
/usr/bin/python3 -u -m http.server --protocol HTTP/1.1 8080 >web.log 2>&1 &
web=$!
( socat TCP4-LISTEN:7000,reuseaddr,fork EXEC:sha256sum & )
until redis-cli ping && curl --silent --fail --output /dev/null http://127.0.0.1:8080/data && head -c 9 data | socat -t 20 - TCP4:127.0.0.1:7000; do sleep .1; done >/dev/null 2>&1
echo ready
until [ -e end ]; do sleep .1; done
kill $web; wait $web
echo web ended
exec sleep infinity
"""


class Languages(SkerryCase):
    LIMIT_S = 180

    def setUp(self):
        super().setUp()
        data = bytes(range(251)) * 2000
        (self.folder / "data").write_bytes(data)
        self.digest = hashlib.sha256(data).hexdigest()

    def both(self, *program, least_frames):
        self.serve(*program, "serve", SERVER_AT, self.folder / "data", ready="ready", within_s=READY_WITHIN_S,
                   options=("--uplink", "none", "--share", self.folder))
        before = self.stack_frames()
        output = self.ask(*program, "ask", SERVER_AT, self.digest, timeout_s=120)
        self.assertEqual(output.split()[-1], "equal", output)
        self.assert_stack_carried(least_frames, before)
        return output

    @needs("node")
    def test_node(self):
        output = self.both("node", HERE / "node_sockets.js", least_frames=300)
        self.assertIn("2 workers", output)

    @needs("java")
    def test_java(self):
        self.both("java", HERE / "JavaSockets.java", least_frames=300)

    @needs("redis-server", "socat", "curl")
    def test_three_servers_of_one_script(self):
        """One is a daemon, one a job, one an orphan with a child for each connection; when one ends the others go on."""
        server = self.serve("sh", "-c", THREE_SERVERS, "sh", self.folder, ready="ready", within_s=READY_WITHIN_S,
                            options=("--uplink", "none", "--share", self.folder))
        before = self.stack_frames()
        ask_all = (f"redis-cli -h {SERVER_AT} set key word; redis-cli -h {SERVER_AT} get key; "
                   f"curl --silent --show-error --max-time 20 http://{SERVER_AT}:8080/data | sha256sum; "
                   f"socat -t 20 - TCP4:{SERVER_AT}:7000 <{self.folder}/data")
        said = self.ask("sh", "-c", ask_all, options=("--share", self.folder)).split()
        self.assertEqual(said, ["OK", "word", self.digest, "-", self.digest, "-"])
        (self.folder / "end").touch()
        server.wait_for("web ended", timeout_s=20)
        said = self.ask("sh", "-c", ask_all + " 2>&1", options=("--share", self.folder))
        self.assertIn("word", said)
        self.assertIn("Could not connect", said.replace("Couldn't", "Could not"))
        self.assertIn(self.digest, said)
        self.assert_stack_carried(30, before)


if __name__ == "__main__":
    unittest.main()
