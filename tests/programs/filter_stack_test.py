"""Rules of a stack that runs: what they let pass, who is told, how they are changed, and that a stack that comes back has them."""

import json
import os
import signal
import time
import unittest

from lab import filtered
from lab.process import run
from skerry_case import SkerryCase

PYTHON = "/usr/bin/python3"
READY = "ready"

# Listens at the ports that it is given and answers each connection with the port's number.
SERVER = """
import selectors, socket, sys
ports = selectors.DefaultSelector()
for port in map(int, sys.argv[1:]):
    listener = socket.create_server(("0.0.0.0", port))
    ports.register(listener, selectors.EVENT_READ, port)
print("ready", flush=True)
while True:
    for key, _ in ports.select():
        connection, _ = key.fileobj.accept()
        connection.sendall(str(key.data).encode())
        connection.close()
"""

# Asks each of "tcp:PORT" and "udp:PORT" and prints what came of it, by the words of errno.
CLIENT = """
import errno, socket, sys
for what in sys.argv[2:]:
    kind, port = what.split(":")
    with socket.socket(type=socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM) as asked:
        asked.settimeout(20 if "!" not in port else 3)  # with ! nothing is to come, but what is asked must have left
        try:
            asked.connect((sys.argv[1], int(port.strip("!"))))
            if kind == "udp":
                asked.send(b"x")
            print(what, asked.recv(100).decode())
        except TimeoutError:
            print(what, "silence")
        except OSError as error:
            print(what, errno.errorcode[error.errno])
"""

# The same of TCP ports, each connection kept open to the end.
KEEPER = """
import socket, sys
kept = []
for port in sys.argv[2:]:
    try:
        kept.append(socket.create_connection((sys.argv[1], int(port)), timeout=20))
        print(kept[-1].recv(100).decode())
    except ConnectionRefusedError:
        print("refused")
"""

RULES = """
table inet mine {
    set friends { type ipv4_addr; elements = { 10.77.0.3 } }
    chain in {
        type filter hook input priority 0; policy drop;
        iifname "lo" accept
        ip saddr @friends tcp dport 80 counter accept comment "the web"
        tcp dport 81 reject with tcp reset
        udp dport 82 reject
    }
    chain out { type filter hook output priority 0; policy accept; udp dport 99 drop; udp dport 98 reject; tcp dport 97 reject with tcp reset; }
}
"""
OTHER_RULES = """
table inet other {
    chain in { type filter hook input priority 0; policy accept; tcp dport 80 reject with tcp reset; }
}
"""
WRONG_RULES = "table inet mine {\n    chain in { type filter hook input priority 0; tcp dport nonsense accept; }\n}\n"


class FilterCase(SkerryCase):
    def rules(self, text, name="web.nft"):
        path = self.folder / name
        path.write_text(text)
        return path

    def begin(self, rules, ports=(80, 81, 83)):
        return self.serve(PYTHON, "-c", SERVER, *map(str, ports), ready=READY, options=("--uplink", "none", "--name", "web", "--filter", str(rules)))

    def tries(self, *what, to="10.77.0.2", address="10.77.0.3", options=()):
        lines = self.ask(PYTHON, "-c", CLIENT, to, *what, address=address, options=options).splitlines()
        return [line.split(maxsplit=1)[1] for line in lines]

    def listed(self):
        return json.loads(self.skerry.command("filter", "list", "web", "--json")[1])["rows"]

    def packets(self, **wanted):
        """Of the one row that has these values."""
        rows = [row for row in self.listed() if wanted.items() <= row.items()]
        self.assertEqual(len(rows), 1, rows)
        return rows[0]["packets"]


class Rules(FilterCase):
    def test_they_hold_from_the_first_packet_on(self):
        self.begin(self.rules(RULES))
        self.assertEqual(self.tries("tcp:80", "tcp:81", "udp:82", "tcp:83!"), ["80", "ECONNREFUSED", "ECONNREFUSED", "silence"])
        self.assertEqual(self.tries("tcp:80!", address="10.77.0.4"), ["silence"], "it is none of the set")
        self.assertGreaterEqual(self.packets(comment="the web"), 3)
        self.assertGreaterEqual(self.packets(policy="drop"), 2)
        counters = self.skerry.counters("web.stack")
        self.assertGreaterEqual(counters["drop.filter input"], 4, "two refused, two left to the policy")
        table = self.skerry.command("filter", "list", "web")[1]
        for words in ("inet mine", "policy drop", '"the web"', "counter packets", "set friends", "1 element"):
            self.assertIn(words, table)

    def test_what_leaves_is_judged_too(self):
        self.serve(PYTHON, "-c", SERVER, "97", ready=READY)
        rules = self.rules(RULES)
        said = self.tries("udp:99", "udp:98", "tcp:97", options=("--filter", str(rules)))
        self.assertEqual(said[0], "EPERM", "as Linux says of a datagram that a rule drops")
        self.assertIn(said[1], ("ECONNREFUSED", "EPERM"))
        self.assertEqual(said[2], "ECONNREFUSED")

    def test_who_has_enough_connections_gets_no_more(self):
        self.begin(self.rules("table inet mine {\n    set clients { type ipv4_addr; flags dynamic; size 100; }\n    chain in {\n        type filter hook input priority 0;\n"
                              "        tcp dport 80 ct state new add @clients { ip saddr ct count over 2 } reject with tcp reset\n    }\n}\n"))
        said = self.ask(PYTHON, "-c", KEEPER, "10.77.0.2", "80", "80", "80", "81").split()
        self.assertEqual(said, ["80", "80", "refused", "81"])
        self.assertEqual(self.tries("tcp:80", address="10.77.0.4"), ["80"], "another's")

    def test_what_a_rule_writes_is_what_the_program_gets(self):
        self.begin(self.rules("table inet mine {\n    chain in { type filter hook prerouting priority 0; tcp dport 99 tcp dport set 80; }\n"
                              "    chain out { type filter hook postrouting priority 0; tcp sport 80 tcp sport set 99; }\n}\n"))
        self.assertEqual(self.tries("tcp:99"), ["80"])

    def test_the_link_and_arp_have_rules_of_their_own(self):
        self.begin(self.rules("table netdev link {\n    chain in { type filter hook ingress device eth0 priority 0; tcp dport 81 counter drop comment \"81\"; }\n"
                              "    chain out { type filter hook egress device eth0 priority 0; arp operation reply counter comment \"answers\"; }\n}\n"
                              "table arp who {\n    chain in { type filter hook input priority 0; arp saddr ip 10.77.0.4 drop; }\n}\n"))
        self.assertEqual(self.tries("tcp:80", "tcp:81!"), ["80", "silence"])
        self.assertEqual(self.tries("tcp:80", address="10.77.0.4"), ["EHOSTUNREACH"], "who asks by ARP is not heard")
        self.assertGreaterEqual(self.packets(comment="81"), 1)
        self.assertGreaterEqual(self.packets(comment="answers"), 1)
        counters = self.skerry.counters("web.stack")
        self.assertGreaterEqual(min(counters["drop.filter ingress"], counters["drop.filter arp"]), 1)
        said = self.skerry.command("why", "web", "--count", "2")[1]
        self.assertRegex(said, r"drop  filter  ingress  tcp 10\.77\.0\.3:\d+ > 10\.77\.0\.2:81, 60 bytes  netdev link in handle \d+ \"81\"  .*web\.nft:2")

    def test_a_mistake_starts_nothing(self):
        status, output = self.skerry.command("run", "--uplink", "none", "--filter", self.rules(WRONG_RULES), "--", "/bin/echo", "ran", check=False)
        self.assertEqual(status, 125)
        self.assertIn("web.nft:2:61-68: Error:", output)
        self.assertNotIn("ran", output)


class Why(FilterCase):
    def test_it_names_the_rule(self):
        self.begin(self.rules(RULES))
        why = self.skerry.begin("why", "web", "--json")
        self.tries("tcp:81", "udp:82", "tcp:83!")
        why.wait_for("inet mine in policy", timeout_s=30)
        rows = [row for row in map(json.loads, why.output().splitlines()) if row["layer"] == "filter"]
        reset, refused, silent = (next(row for row in rows if f"10.77.0.2:{port}," in row["packet"]) for port in (81, 82, 83))
        self.assertEqual([row["what"] for row in (reset, refused, silent)], ["reject", "reject", "drop"])
        handles = [row["handle"] for row in self.listed() if row.get("chain") == "in" and "handle" in row]
        self.assertEqual(reset["by"], f"inet mine in handle {handles[2]}", "that of port 81")
        self.assertEqual((reset["file"], reset["line"]), (str(self.folder / "web.nft"), 8))
        self.assertEqual(silent["by"], "inet mine in policy")
        self.assertRegex(refused["packet"], r"udp 10\.77\.0\.3:\d+ > 10\.77\.0\.2:82, 29 bytes")
        self.skerry.begin("why", "web").wait_for("web.nft:8", timeout_s=20)

    def test_what_rules_log(self):
        self.begin(self.rules(RULES.replace("udp dport 82 reject", 'udp dport 82 log prefix "asked: " level info; udp dport 82 log prefix "told" group 3; udp dport 82 reject')))
        self.tries("udp:82")
        self.skerry.begin("why", "web").wait_for("asked:", timeout_s=20)
        self.assertEqual(len(self.skerry.command("why", "web", "--count", "1")[1].splitlines()), 1)
        logs = [json.loads(line) for line in self.skerry.command("why", "web", "--count", "2", "--json")[1].splitlines()]
        self.assertEqual([(row["what"], row["by"], row.get("level"), row.get("group")) for row in logs], [("log", "asked: ", "info", None), ("log", "told", None, 3)])

    def test_what_is_refused_and_logged_becomes_a_capture(self):
        self.begin(self.rules(RULES.replace("udp dport 82 reject", 'udp dport 82 log prefix "asked: " reject')))
        self.tries("tcp:81", "udp:82")
        file = self.folder / "refused.pcapng"
        self.skerry.command("why", "web", "--pcap", file, "--count", "3")
        # libpcap passes over comments, so they are looked for in the file.
        lines = run(["tcpdump", "-n", "-r", file], timeout_s=20)[1]
        for packet in (r"IP 10\.77\.0\.3\.\d+ > 10\.77\.0\.2\.81: Flags \[S\]", r"IP 10\.77\.0\.3\.\d+ > 10\.77\.0\.2\.82: UDP, length 1"):
            self.assertRegex(lines, packet)
        written = file.read_bytes()
        for comment in ("reject at input by inet mine in handle", f"{self.folder}/web.nft:8", f"{self.folder}/web.nft:9", "log at input: asked: "):
            self.assertIn(comment.encode(), written)
        code, output = self.skerry.command("why", "web", "--pcap", "/nowhere/x.pcapng", check=False)
        self.assertEqual(code, 1, output)
        self.assertIn("cannot write /nowhere/x.pcapng", output)

    def test_what_the_stack_itself_refuses(self):
        self.begin(self.rules(OTHER_RULES), ports=(81,))
        why = self.skerry.begin("why", "web")
        self.tries("tcp:80")
        why.wait_for("inet other", timeout_s=20)
        self.tries("udp:9999")
        why.wait_for("udp no socket", timeout_s=20)


class Trace(FilterCase):
    def test_it_follows_packets_through_the_rules(self):
        self.begin(self.rules(RULES))
        trace = self.skerry.begin("filter", "trace", "web", "tcp", "dport", "81", "--count", "1", "--json")
        deadline = time.monotonic() + 60
        while trace.process.poll() is None:
            self.assertLess(time.monotonic(), deadline, trace.output())
            self.tries("tcp:80", "tcp:81")
        rows = [json.loads(line) for line in trace.output().splitlines()]
        self.assertEqual({row["packet"] for row in rows}, {1})
        self.assertTrue(all("10.77.0.2:81, 60 bytes" in row["what"] for row in rows), rows)
        self.assertEqual([row["hook"] for row in rows], ["prerouting", "input"])
        self.assertEqual((rows[1]["verdict"], rows[1]["file"], rows[1]["line"]), ("reject", str(self.folder / "web.nft"), 8))
        self.assertIn("inet mine in handle", rows[1]["by"])

    def test_it_ends_when_it_is_told_to(self):
        self.begin(self.rules(RULES))
        for signal_number in (signal.SIGINT, signal.SIGTERM):
            trace = self.skerry.begin("filter", "trace", "web")
            self.tries("tcp:80")
            trace.wait_for("10.77.0.2:80", timeout_s=20)
            trace.process.send_signal(signal_number)
            self.assertEqual(trace.process.wait(20), -signal_number)

    def test_what_it_cannot_follow(self):
        self.begin(self.rules(RULES))
        for match, said in ((("tcp", "dport", "80", "counter"), "matches alone"), (("nonsense",), "the match:3:"), (("ct", "state", "new"), "do not ask about connections")):
            status, output = self.skerry.command("filter", "trace", "web", *match, check=False)
            self.assertEqual(status, 1)
            self.assertIn(said, output)
        _, output = self.skerry.command("filter", "trace", "web", "tcp", "dprt", "80", check=False)
        self.assertEqual(output.count("Error: "), 1, output)


class Elements(FilterCase):
    SETS = """
table inet mine {
    set friends { type ipv4_addr; elements = { 10.77.0.99 } }
    set doors { type ipv4_addr . inet_service; flags timeout; size 2; }
    set nets { type ipv4_addr; flags interval; }
    map ways { type inet_service : verdict; }
    counter met { }
    map marks { type ipv4_addr : mark; }
    set heard { type ipv4_addr; flags dynamic; size 9; counter; elements = { 10.77.0.98 } }
    set tags { type mark; flags interval; elements = { 1-5 } }
    set links { type ifname . mark; flags interval; elements = { "eth*" . 0x100-0x1ff } }
    chain web { accept; }
    chain in {
        type filter hook input priority 0; policy drop;
        iifname "lo" accept
        ip saddr @friends accept
        ip saddr . tcp dport @doors accept
        ip saddr @nets accept
        tcp dport vmap @ways
    }
}
"""

    def element(self, *words, check=True):
        return self.skerry.command("filter", words[0], "element", "web", "inet", "mine", *words[1:], check=check)

    def test_they_come_and_go_while_packets_pass(self):
        self.begin(self.rules(self.SETS))
        for name, element in (("friends", "10.77.0.3"), ("doors", "{ 10.77.0.3 . http timeout 1h }"), ("nets", "{ 10.77.0.0/28, 10.77.0.64-10.77.0.70 }")):
            self.element("add", name, element)
            self.assertEqual(self.tries("tcp:80"), ["80"], name)
            self.element("delete", name, element)
        self.element("add", "ways", "{ 80 : jump web, 81 : drop }")
        self.assertEqual(self.tries("tcp:80", "tcp:81!"), ["80", "silence"])
        self.element("delete", "ways", "80")
        self.assertEqual(self.tries("tcp:80!", "tcp:81!"), ["silence", "silence"])

    def test_what_is_wrong_is_said_and_changes_nothing(self):
        self.begin(self.rules(self.SETS))
        for words, said in (
                (("add", "friends", "{ 10.77.0.3, nonsense }"), "the command:2:"),
                (("add", "friends", "10.77.0.0/24"), "rror"),
                (("add", "doors", "{ 10.77.0.3 . 80, 10.77.0.3 . 81, 10.77.0.3 . 82 }"), "set doors is full: it has room for 2"),
                (("delete", "friends", "{ 10.77.0.99, 10.77.0.3 }"), "set friends has no such element"),
                (("add", "ways", "{ 80 : jump in }"), "rror"),
                (("add", "ways", "{ 80 : accept }; add set inet mine more { type mark; }"), "only elements can stand here"),
                (("add", "enemies", "10.77.0.3"), "table inet mine has no set enemies"),
                (("add", "friends", "{ 10.77.0.3 timeout 5m }"), "rror")):
            status, output = self.element(*words, check=False)
            self.assertEqual(status, 1, words)
            self.assertIn(said, output, words)
        self.assertEqual(self.tries("tcp:80!"), ["silence"])
        self.assertEqual(self.tries("tcp:80", address="10.77.0.99"), ["80"], "it is still in the set")

    def test_a_set_is_listed_as_nft_writes_it(self):
        self.begin(self.rules(self.SETS))
        self.element("add", "doors", "{ 10.77.0.3 . 80 timeout 1h }")
        self.element("add", "nets", "{ 10.77.0.0/28 }")
        self.element("add", "ways", "{ 80 : jump web }")
        self.element("add", "marks", "{ 10.77.0.3 : 0x17 }")
        for kind, name, wanted in (("set", "doors", ("type ipv4_addr . inet_service", "flags timeout", "size 2", "10.77.0.3 . 80 timeout 1h expires 59m")),
                                   ("set", "nets", ("flags interval", "10.77.0.0-10.77.0.15")), ("set", "tags", ("flags interval", "0x1-0x5")),
                                   ("set", "links", ("type ifname . mark", '"eth*" . 0x100-0x1ff')), ("map", "ways", ("type inet_service : verdict", "80 : jump web")),
                                   ("map", "marks", ("type ipv4_addr : mark", "10.77.0.3 : 0x17")),
                                   ("set", "heard", ("flags dynamic", "\tcounter\n", "10.77.0.98 counter packets 0"))):
            listed = self.skerry.command("filter", "list", "web", kind, "inet", "mine", name)[1]
            for words in wanted:
                self.assertIn(words, listed)
            if kind == "set":
                self.skerry.command("filter", "check", self.rules(listed, "listed.nft"))

    def test_counters_begin_again(self):
        self.begin(self.rules(self.SETS.replace("ip saddr @friends accept", "counter name met\n        ip saddr @friends accept")))
        self.tries("tcp:80!")
        was = json.loads(self.skerry.command("filter", "reset", "counters", "web", "inet", "mine", "--json")[1])
        self.assertEqual([row["name"] for row in was], ["met"])
        self.assertGreater(was[0]["tally"]["counter"]["packets"], 0)
        now = next(row for row in self.listed() if row.get("name") == "met")
        self.assertLess(now["tally"]["counter"]["packets"], was[0]["tally"]["counter"]["packets"])
        self.assertIn("there is no counter other", self.skerry.command("filter", "reset", "counters", "web", "inet", "mine", "other", check=False)[1])

    def test_quotas_begin_again(self):
        rules = self.rules("table inet mine {\n    quota some { 30 bytes }\n    chain in {\n        type filter hook input priority 0; policy drop;\n"
                           "        tcp dport 81 accept\n        udp dport 82 quota name some reject\n    }\n}\n")
        self.begin(rules)
        self.assertEqual(self.tries("udp:82", "udp:82!"), ["ECONNREFUSED", "silence"], "the first has 29 bytes")
        self.skerry.command("filter", "load", "web", rules)
        self.assertEqual(self.tries("udp:82!"), ["silence"], "it outlives a reload")
        self.assertIn("quota some {\n\t\t30 bytes used 30 bytes\n\t}", self.skerry.command("filter", "reset", "quotas", "web", "inet", "mine", "some")[1])
        self.assertEqual(self.tries("udp:82"), ["ECONNREFUSED"])

    def test_they_outlive_other_rules(self):
        rules = self.rules(self.SETS)
        self.begin(rules)
        self.element("add", "friends", "10.77.0.3")
        self.skerry.command("filter", "load", "web", rules)
        self.assertEqual(self.tries("tcp:80"), ["80"])


class Changes(FilterCase):
    def test_other_rules_take_their_place(self):
        self.begin(self.rules(RULES))
        self.assertEqual(self.tries("tcp:80"), ["80"])
        self.skerry.command("filter", "load", "web", self.rules(OTHER_RULES, "other.nft"))
        self.assertEqual(self.tries("tcp:80", "tcp:81", "tcp:83"), ["ECONNREFUSED", "81", "83"])
        self.assertEqual({row["table"] for row in self.listed()}, {"inet other"})

    def test_a_mistake_leaves_the_old_ones(self):
        self.begin(self.rules(RULES))
        status, output = self.skerry.command("filter", "load", "web", self.rules(WRONG_RULES, "wrong.nft"), check=False)
        self.assertEqual(status, 1)
        self.assertIn("wrong.nft:2:61-68: Error:", output)
        self.assertEqual(self.tries("tcp:80", "tcp:81"), ["80", "ECONNREFUSED"])

    def test_a_stack_without_rules_can_get_some(self):
        self.serve(PYTHON, "-c", SERVER, "80", ready=READY, options=("--uplink", "none", "--name", "web"))
        self.assertIn("everything passes", self.skerry.command("filter", "list", "web")[1])
        self.skerry.command("filter", "load", "web.stack", self.rules(OTHER_RULES))
        self.assertEqual(self.tries("tcp:80"), ["ECONNREFUSED"])

    def test_those_that_the_bench_compares_take_turns(self):
        self.begin(self.rules(RULES))
        for which, chains in ((10, {"input", "output"}), (filtered.NONE, set()), (filtered.STATEFUL, {"input", "output"})):
            self.skerry.command("filter", "load", "web", self.rules(filtered.rules(which), "turn.nft"))
            self.assertEqual({row["chain"] for row in self.listed() if "chain" in row}, chains)

    def test_a_connection_goes_on_under_ever_new_rules(self):
        """Two rulesets that both let it pass take turns; what it carries comes whole."""
        both = [self.rules(RULES), self.rules(RULES.replace("udp dport 82", "udp dport 84"), "again.nft")]
        self.serve("redis-server", "--save", "", "--port", "80", "--protected-mode", "no", "--bind", "0.0.0.0", ready="Ready to accept",
                   options=("--uplink", "none", "--name", "web", "--filter", str(both[0])))
        benchmark = self.skerry.begin("run", "--uplink", "none", "--address", "10.77.0.3", "--", "redis-benchmark", "-h", "10.77.0.2", "-p", "80", "-t",
                                      "get", "-n", "200000", "-c", "10", "--csv")
        loads = 0
        while benchmark.process.poll() is None:
            self.skerry.command("filter", "load", "web", both[loads % 2])
            loads += 1
        self.assertEqual(benchmark.wait(timeout_s=60), 0, benchmark.output())
        self.assertNotIn("rror", benchmark.output())
        self.assertGreater(loads, 0)


# Sends as much as it is asked for, and says what it got.
BULK_SERVER = """
import hashlib, socket, sys
listener = socket.create_server(("0.0.0.0", 8080))
print("ready", flush=True)
while True:
    connection, _ = listener.accept()
    size = int(connection.recv(8))
    connection.sendall(b"go")
    got = hashlib.sha256()
    left = size
    while left:
        piece = connection.recv(1 << 20)
        got.update(piece)
        left -= len(piece)
    connection.sendall(got.digest())
    connection.sendall(b"0123456789abcdef" * (size // 16))
    connection.close()
"""

# Both ways, a few times; prints whose answer it believes to have.
BULK_CLIENT = """
import hashlib, socket, sys
size = 8 << 20
data = bytes(range(256)) * (size // 256)
for _ in range(5):
    with socket.create_connection(("10.77.0.99", 80), timeout=60) as server:
        assert server.getpeername() == ("10.77.0.99", 80)
        server.sendall(b"%8d" % size)
        assert server.recv(2, socket.MSG_WAITALL) == b"go"
        server.sendall(data)
        assert server.recv(32, socket.MSG_WAITALL) == hashlib.sha256(data).digest()
        got = bytearray()
        while piece := server.recv(1 << 20):
            got += piece
        assert bytes(got) == b"0123456789abcdef" * (size // 16)
print("whole")
"""

# Asks somebody else, and hears from itself.
ITS_OWN_SERVER = """
import socket
with socket.create_server(("127.0.0.1", 8053)) as listener, socket.socket() as asked:
    asked.connect(("10.77.0.98", 53))
    connection, peer = listener.accept()
    much = bytes(range(250)) * 800
    for one, other in ((asked, connection), (connection, asked)):
        one.sendall(much)
        assert other.recv(len(much), socket.MSG_WAITALL) == much
    print("whole", asked.getpeername()[0], connection.getsockname()[1])
"""

REDIRECTS = """
table ip nat {
    chain pre { type nat hook prerouting priority dstnat; tcp dport 80 counter redirect to :8080 comment "one"; }
}
"""
LEADS_ELSEWHERE = """
table ip nat {
    chain out {
        type nat hook output priority -100
        ip daddr 10.77.0.99 tcp dport 80 dnat to 10.77.0.2
        ip daddr 10.77.0.98 tcp dport 53 redirect to :8053
    }
}
"""


class Translation(FilterCase):
    def test_a_redirected_connection_reaches_another_port(self):
        self.begin(self.rules(REDIRECTS), ports=(8080,))
        self.assertEqual(self.tries("tcp:80", "tcp:8080"), ["8080", "8080"])
        self.assertEqual(self.packets(comment="one"), 1, "its first packet alone is asked about")

    def test_a_connection_leads_elsewhere_and_goes_on_under_new_rules(self):
        """Translated at both ends, both ways, while the server's rules change."""
        both = [self.rules(REDIRECTS), self.rules(REDIRECTS.replace("one", "two"), "again.nft")]
        self.serve(PYTHON, "-c", BULK_SERVER, ready=READY, options=("--uplink", "none", "--name", "web", "--filter", str(both[0])))
        client = self.skerry.begin("run", "--uplink", "none", "--address", "10.77.0.3", "--filter", self.rules(LEADS_ELSEWHERE, "out.nft"), "--", PYTHON, "-c", BULK_CLIENT)
        loads = 0
        while client.process.poll() is None:
            self.skerry.command("filter", "load", "web", both[loads % 2])
            loads += 1
        self.assertEqual(client.wait(timeout_s=60), 0, client.output())
        self.assertIn("whole", client.output())
        self.assertGreater(loads, 0)

    def test_a_connection_to_others_comes_back_to_its_program(self):
        said = self.ask(PYTHON, "-c", ITS_OWN_SERVER, options=("--filter", str(self.rules(LEADS_ELSEWHERE))))
        self.assertEqual(said.split(), ["whole", "10.77.0.98", "8053"])


class InAComposition(FilterCase):
    def test_a_stack_that_comes_back_has_the_rules_that_were_loaded_last(self):
        (self.folder / "server.py").write_text(SERVER)
        self.rules(RULES)
        composition = self.rules(f'[program.web]\nrun = ["{PYTHON}", "server.py", "80", "81"]\naddress = "10.77.0.2"\nfilter = "web.nft"\nrestart = "always"\n',
                                 "filtered.toml")
        self.skerry.command("up", "--detach", composition)
        self.assertEqual({row["table"] for row in self.listed()}, {"inet mine"})
        self.skerry.command("filter", "load", "web", self.rules(OTHER_RULES, "other.nft"))
        first = self.stack()["pid"]
        os.kill(first, signal.SIGKILL)
        deadline = time.monotonic() + 60
        while self.stack()["pid"] in (0, -1, first) or self.stack()["state"] != "running":
            self.assertLess(time.monotonic(), deadline, self.skerry.processes())
            time.sleep(0.05)
        while True:
            status, output = self.skerry.command("filter", "list", "web", "--json", check=False)
            if status == 0:
                break
            self.assertLess(time.monotonic(), deadline, output)
            time.sleep(0.05)
        self.assertEqual({row["table"] for row in json.loads(output)["rows"]}, {"inet other"})
        self.skerry.command("down")

    def test_who_joins_without_rules_has_those_of_the_composition(self):
        self.rules(OTHER_RULES, "all.nft")
        self.skerry.command("up", "--detach", self.rules('filter = "all.nft"\n[network.lan]\nsubnet = "10.77.0.0/24"\n', "joined.toml"))
        joins = ("run", "--net", "joined")
        for name, options, table in (("plain", (), "inet other"), ("own", ("--filter", str(self.rules(RULES))), "inet mine")):
            self.skerry.begin(*joins, "--name", name, *options, "--", PYTHON, "-c", SERVER, "80").wait_for(READY, timeout_s=20)
            rows = json.loads(self.skerry.command("filter", "list", name, "--json")[1])["rows"]
            self.assertEqual({row["table"] for row in rows}, {table})
        self.skerry.command("down")

    def stack(self):
        return next(row for row in self.skerry.processes() if row["kind"] == "stack")


if __name__ == "__main__":
    unittest.main()
