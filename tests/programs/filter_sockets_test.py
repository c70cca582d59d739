"""What rules read of sockets is what the kernel's do: the same program, the same rules, in a stack and in a namespace, and every counter is the same."""

import json
import unittest

from filter_stack_test import FilterCase
from lab.namespace import Namespace
from lab.process import run
from skerry_case import needs_root

PYTHON = "/usr/bin/python3"

# Connections and datagrams over the loopback, each kind once: to listeners of any address and of one, between sockets that are connected and not,
# and to nobody.
SPEAK = """
import signal, socket, sys
def tcp(to, listener=None):
    try:
        asks = socket.create_connection(to, timeout=20)
    except ConnectionRefusedError:
        return
    answers, _ = listener.accept()
    for one, other in ((asks, answers), (answers, asks)):
        one.sendall(bytes(500))
        other.recv(500, socket.MSG_WAITALL)
    kept.append((asks, answers))
def udp(bound, connected):
    made = socket.socket(type=socket.SOCK_DGRAM)
    made.settimeout(20)
    if bound: made.bind(bound)
    if connected: made.connect(connected)
    kept.append(made)
    return made
kept = []
tcp(("127.0.0.1", 8000), socket.create_server(("0.0.0.0", 8000)))
tcp(("127.0.0.1", 8001), socket.create_server(("127.0.0.1", 8001)))
tcp(("127.0.0.1", 8002), socket.create_server(("::", 8002), family=socket.AF_INET6, dualstack_ipv6=True))
tcp(("127.0.0.1", 8003))
any_, one = udp(("0.0.0.0", 9000), None), udp(("127.0.0.1", 9001), None)
for asked in (any_, one):
    asks = udp(None, ("127.0.0.1", asked.getsockname()[1]))
    asks.send(b"x")
    asked.sendto(b"y", asked.recvfrom(1)[1])
    asks.recv(1)
lost = udp(None, ("127.0.0.1", 9002))
lost.send(b"x")
try:
    lost.recv(1)
except ConnectionRefusedError:
    pass
any_.sendto(b"x", ("127.0.0.1", 9002))
print("done", flush=True)
if len(sys.argv) > 1:
    signal.pause()
"""

# Each a packet that there is once, whatever its sender thinks of acknowledgments.
PACKETS = {"syn": "tcp flags & (syn | ack) == syn", "syn ack": "tcp flags & (syn | ack) == (syn | ack)", "data": "meta l4proto tcp ip length > 400",
           "reset": "tcp flags & rst == rst", "datagram": "meta l4proto udp", "error": "icmp type destination-unreachable"}
ASKED = {"any": "", "transparent": "socket transparent 1", "not transparent": "socket transparent 0", "mark": "socket mark 0", "marked": "socket mark != 0",
         "wildcard": "socket wildcard 1", "no wildcard": "socket wildcard 0"}


def rules():
    text = "table ip t {\n"
    for hook in ("prerouting", "input", "output"):
        text += f"  chain {hook} {{\n    type filter hook {hook} priority 0\n"
        for packet, match in PACKETS.items():
            for asked, question in ASKED.items():
                text += f"    {match} {question} counter comment \"{hook}: {packet}, {asked}\"\n"
        text += "  }\n"
    return text + "}\n"


class Sockets(FilterCase):
    def of_linux(self, path):
        with Namespace() as namespace:
            namespace.run("ip", "link", "set", "lo", "up")
            namespace.run("nft", "-f", str(path))
            namespace.run(PYTHON, "-c", SPEAK)
            listing = json.loads(run([*namespace.inside(), "nft", "-j", "list", "ruleset"], timeout_s=20)[1])["nftables"]
        counted = {}
        for rule in (item["rule"] for item in listing if "rule" in item):
            counted[rule["comment"]] = next(each["counter"]["packets"] for each in rule["expr"] if "counter" in each)
        return counted

    @needs_root("a namespace with rules of the kernel's")
    def test_are_the_kernels(self):
        code, output = run(["unshare", "--net", "nft", "add", "table", "inet", "t"], timeout_s=20, check=False)
        if code:
            self.skipTest(f"this kernel takes no nftables rules: {output.strip()}")
        path = self.rules(rules())
        theirs = self.of_linux(path)
        self.serve(PYTHON, "-c", SPEAK, "wait", ready="done", options=("--uplink", "none", "--name", "web", "--filter", str(path)))
        ours = {row["comment"]: row["packets"] for row in self.listed() if "comment" in row}
        self.assertEqual(ours, theirs)
        self.assertGreaterEqual(sum(count > 0 for count in theirs.values()), 40, "so that it cannot pass because nothing was said")

    def test_where_there_are_none_rules_about_them_are_refused(self):
        for hook, match, why in (("postrouting", "socket wildcard 0", "at prerouting, input and output"), ("input", "socket cgroupv2 level 1 5", "cgroupv2")):  # which the compiler, too, has none of
            path = self.rules(f"table ip t {{\n  chain c {{ type filter hook {hook} priority 0; {match} drop; }}\n}}\n")
            code, output = self.skerry.command("filter", "check", path, check=False)
            self.assertNotEqual(code, 0)
            self.assertIn(why, output)


if __name__ == "__main__":
    unittest.main()
