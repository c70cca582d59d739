"""Rules at a switch: what they let pass between its ports, how they are changed, and that a switch that comes back has them."""

import json
import os
import signal
import unittest

from filter_reload_test import RELOADS
from filter_stack_test import CLIENT, PYTHON, READY, SERVER
from lab.process import run
from lab.skerry import BUILD
from redis_test import READY as REDIS_READY
from redis_test import SERVER as REDIS
from skerry_case import SkerryCase

COMPOSITION = """
name = "shop"
[network.lan]
subnet = "10.77.0.0/24"
[switch.lan]
filter = "ports.nft"
"""
# Of two flows between the same two programs one.
RULES = """
table bridge ports {
    counter asked { }
    set closed { type inet_service; elements = { 81 } }
    chain between {
        type filter hook forward priority 0; policy accept;
        ether type arp counter name asked accept
        tcp dport @closed counter drop comment "closed"
        iifname "web" oifname "client" ibrname "lan" counter comment "answers"
    }
}
"""
WRONG_RULES = "table bridge ports {\n    chain in { type filter hook input priority 0; }\n}\n"


class SwitchCase(SkerryCase):
    def file(self, name, text):
        path = self.folder / name
        path.write_text(text)
        return path

    def up(self, rules=RULES):
        self.file("ports.nft", rules)
        network = self.skerry.begin("up", self.file("shop.toml", COMPOSITION))
        network.wait_for("is up", timeout_s=30)

    def run_in(self, name, address, *words):
        return self.skerry.begin("run", "--net", "shop", "--name", name, "--address", address, "--", *words)

    def tries(self, *what):
        client = self.run_in("client", "10.77.0.3", PYTHON, "-c", CLIENT, "10.77.0.2", *what)
        client.wait(timeout_s=60)
        return [line.split(maxsplit=1)[1] for line in client.output().splitlines()]

    def filter(self, verb, *words, check=True):
        return self.skerry.command("filter", *verb.split(), "--switch", "lan", *words, check=check)

    def row(self, **wanted):
        rows = [row for row in json.loads(self.filter("list", "--json")[1])["rows"] if wanted.items() <= row.items()]
        self.assertEqual(len(rows), 1, rows)
        return rows[0]


class Rules(SwitchCase):
    def setUp(self):
        super().setUp()
        self.up()

    def serve_web(self):
        self.web = self.run_in("web", "10.77.0.2", PYTHON, "-c", SERVER, "80", "81")
        self.web.wait_for(READY, timeout_s=20)

    def test_one_flow_is_dropped_and_the_other_passes(self):
        self.serve_web()
        self.assertEqual(self.tries("tcp:80", "tcp:81!"), ["80", "silence"])
        self.assertGreaterEqual(self.row(comment="closed")["packets"], 1)
        self.assertGreaterEqual(self.row(comment="answers")["packets"], 3)
        self.assertGreaterEqual(self.row(name="asked")["tally"]["counter"]["packets"], 1)
        self.assertGreaterEqual(self.skerry.counters("lan.vswitch")["web.drop.filter"], 1)
        said = self.skerry.command("why", "--switch", "lan", "-c", "1")[1]
        self.assertRegex(said, r'drop  filter  forward  tcp 10\.77\.0\.3:\d+ > 10\.77\.0\.2:81, \d+ bytes  bridge ports between handle \d+ "closed"  \S*ports\.nft:8\n')

    def test_they_change_while_it_runs_or_stay(self):
        self.serve_web()
        other = self.file("other.nft", RULES.replace("{ 81 }", "{ 80 }"))
        self.filter("load", other)
        self.assertEqual(self.tries("tcp:80!", "tcp:81"), ["silence", "81"])
        code, output = self.filter("load", self.file("wrong.nft", WRONG_RULES), check=False)
        self.assertEqual(code, 1, output)
        self.assertIn("wrong.nft:2:", output)
        self.assertIn("a switch has no address of its own", output)
        self.assertGreaterEqual(self.row(comment="closed")["packets"], 1, "the last ones are there, with what they have counted")
        self.filter("delete element", "bridge", "ports", "closed", "80")
        self.filter("add element", "bridge", "ports", "closed", "{ 81, 82 }")
        self.assertEqual(self.tries("tcp:80", "tcp:81!"), ["80", "silence"])
        self.assertIn("81", self.filter("list", "set", "bridge", "ports", "closed")[1])
        self.assertIn("packets", self.filter("reset counters", "bridge", "ports")[1])
        self.assertEqual(self.row(name="asked")["tally"]["counter"]["packets"], 0)

    def test_a_switch_that_comes_back_has_the_last(self):
        self.serve_web()
        self.filter("load", self.file("other.nft", RULES.replace("{ 81 }", "{ 80 }")))
        first = next(row for row in self.skerry.processes() if row["kind"] == "vswitch")
        os.kill(first["pid"], signal.SIGKILL)

        def is_back():
            now = next(row for row in self.skerry.processes() if row["kind"] == "vswitch")
            return now["pid"] not in (0, first["pid"]) and now["state"] == "running"
        self.wait_until(is_back, self.web)
        self.assertEqual(self.tries("tcp:80!", "tcp:81"), ["silence", "81"])
        self.assertGreaterEqual(self.row(comment="closed")["packets"], 1)

    def test_frames_are_followed_through_them(self):
        self.serve_web()
        trace = self.skerry.begin("filter", "trace", "--switch", "lan", "-c", "1", "tcp", "dport", "81")
        self.wait_until(lambda: self.tries("tcp:81!") and trace.process.poll() is not None, trace)
        lines = trace.output().splitlines()
        self.assertRegex(lines[0], r"1  (prerouting|forward)  tcp 10\.77\.0\.3:\d+ > 10\.77\.0\.2:81")
        self.assertRegex("\n".join(lines), r'1  forward  bridge ports between handle \d+ "closed"  \S*ports\.nft:8  drop')

        _, output = self.skerry.command("filter", "trace", "--switch", "lan", "tcp", "dprt", "81", check=False)
        self.assertEqual(output.count("Error: "), 1, output)

    def test_what_a_switch_cannot_do_is_said_before(self):
        for text, sentence in (("chain c { type filter hook forward priority 0; ct state new drop; }", "knows no connections"),
                               ("chain c { type filter hook forward priority 0; iif lan drop; }", "write iifname")):
            code, output = self.filter("check", self.file("t.nft", "table bridge t {\n%s\n}\n" % text), check=False)
            self.assertEqual(code, 1, output)
            self.assertIn("t.nft:2:", output)
            self.assertIn(sentence, output)
        self.assertIn("understood: 1 table", self.filter("check", self.folder / "ports.nft")[1])
        code, output = self.skerry.command("filter", "check", self.folder / "ports.nft", check=False)
        self.assertEqual(code, 1, output)
        self.assertIn("--switch", output, "a stack is told where they belong")


class ReloadUnderLoad(SwitchCase):
    LIMIT_S = 120 + RELOADS // 20

    def test_no_frame_is_lost(self):
        self.up()
        more = "\n".join(f"ip saddr 10.9.{i >> 8}.{i & 255} tcp sport {i} accept" for i in range(2000))
        rules = "table bridge t {{\n    counter mixed {{ }}\n    chain one {{ type filter hook prerouting priority 0; meta mark set {0}; }}\n" \
                "    chain other {{ type filter hook postrouting priority 0; meta mark != {0} counter name mixed drop; {1}\n }}\n}}\n"
        one, other = (self.file(f"{mark}.nft", rules.format(mark, more)) for mark in (1, 2))
        self.filter("load", one)
        self.run_in("redis", "10.77.0.2", *REDIS).wait_for(REDIS_READY, timeout_s=20)
        load = self.run_in("load", "10.77.0.3", "redis-benchmark", "-h", "10.77.0.2", "-t", "get", "-c", "20", "-n", "20000", "-l", "--csv")
        load.wait_for("GET", timeout_s=30)
        times = max(10, RELOADS // 10)
        code, output = run([BUILD / "bench-reload", "--switch", "lan", one, other, times], timeout_s=self.LIMIT_S, env=self.skerry.environment, check=False)
        self.assertEqual(code, 0, output)
        self.assertIsNone(load.process.poll(), load.output())
        self.assertNotIn("rror", load.output())
        counters = self.skerry.counters("lan.vswitch")
        self.assertGreater(counters["load slices"], 3)
        self.assertEqual({name: value for name, value in counters.items() if ".drop." in name and value}, {})
        for stack, peer in (("redis.stack", "load.stack"), ("load.stack", "redis.stack")):
            self.assert_no_segment_lost(stack, peer)
        self.assertEqual(self.row(name="mixed")["tally"]["counter"]["packets"], 0)


if __name__ == "__main__":
    unittest.main()
