"""The kernel's side of what is compared with it: its rules, packets that come to it by a TAP device, and what it has counted.

Runs inside a network namespace of its own, as root.
"""

import collections
import fcntl
import ipaddress
import json
import os
import random
import signal
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

import filter_connections
from filter_packets import OUR_MAC, PEER_MAC, checksum
from filter_rules import DYNAMIC

TUNSETIFF, IFF_TAP, IFF_NO_PI = 0x400454ca, 2, 0x1000
FIRST, LAST = -1000000, 1000000
PROBE = f"""
table inet probe {{
  set pre4 {{ typeof ip id . meta mark; flags dynamic; size 65535; }}
  set pre6 {{ typeof ip6 flowlabel . meta mark; flags dynamic; size 65535; }}
  set in4 {{ typeof ip id . meta mark; flags dynamic; size 65535; }}
  set in6 {{ typeof ip6 flowlabel . meta mark; flags dynamic; size 65535; }}
  set came4 {{ typeof ip id . meta mark; flags dynamic; size 65535; }}
  set came6 {{ typeof ip6 flowlabel . meta mark; flags dynamic; size 65535; }}
  chain pre {{ type filter hook prerouting priority {LAST}; iif eth0 add @pre4 {{ ip id . meta mark }}; iif eth0 add @pre6 {{ ip6 flowlabel . meta mark }}; }}
  chain came {{ type filter hook input priority {FIRST}; iif eth0 add @came4 {{ ip id . meta mark }}; iif eth0 add @came6 {{ ip6 flowlabel . meta mark }}; }}
  chain in {{ type filter hook input priority {LAST}; iif eth0 add @in4 {{ ip id . meta mark }}; iif eth0 add @in6 {{ ip6 flowlabel . meta mark }}; }}
}}
""".replace("; iif", "\n iif").replace("}; }", "}\n }")

# One rule of each kind that is drawn: a kernel that lacks one of them says nothing about us.
NEEDED = """
table inet needed {
  counter c { }
  quota q { 100 bytes }
  limit l { rate 1/day }
  set d { type ipv4_addr; flags dynamic,timeout; timeout 1h; size 10; }
  map m { type inet_service : counter; }
  chain in {
    type filter hook input priority 0
    ip saddr . tcp dport { 10.0.0.0/8 . 1-9 } counter limit rate 1/day quota 5 bytes reject
    tcp option maxseg size 5 exthdr frag exists meta mark set meta mark lshift 1 counter name c quota name q limit name l
    tcp dport 1-3 counter name tcp dport map @m
    udp dport vmap { 1-3 : accept, * : drop }
    add @d { ip saddr counter } ip saddr @d delete @d { ip saddr } reject with tcp reset
    ct state established ct status assured ct mark set 1 ct zone set 1 notrack
    ip ttl set 1 tcp dport set 1 numgen inc mod 2 1 symhash mod 2 1
    meta mark set jhash ip saddr mod 2 seed 0x1 ct count over 1 ct original bytes > 1
  }
}
"""
SKIPPED = 77  # as automake's tests end that cannot run


def command(words, text=None):
    done = subprocess.run(words, input=text, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout, done.stderr


def must(*words):
    code, _, errors = command(words)
    if code:
        raise SystemExit(f"{' '.join(words)}: {errors.strip()}")


class NftAborts(Exception):
    """nft 1.0.6 meets an assertion of its own where it lists some rules that it has loaded."""


def listing():
    """The kernel's rules, with what they have counted."""
    code, output, errors = command(["nft", "-j", "list", "ruleset"])
    if code == -signal.SIGABRT:
        raise NftAborts(errors)
    if not output:
        raise SystemExit(f"nft cannot list: {errors}")
    return json.loads(output)["nftables"]


class Kernel:
    def __init__(self):
        self.tap = os.open("/dev/net/tun", os.O_RDWR)
        fcntl.ioctl(self.tap, TUNSETIFF, struct.pack("16sH22x", b"eth0", IFF_TAP | IFF_NO_PI))
        for name, value in (("ipv4/conf/all/rp_filter", 0), ("ipv4/conf/default/rp_filter", 0), ("ipv4/conf/eth0/rp_filter", 0),
                            ("ipv6/conf/eth0/accept_dad", 0), ("ipv6/conf/eth0/accept_ra", 0), ("ipv6/conf/eth0/addr_gen_mode", 1)):
            Path("/proc/sys/net", name).write_text(str(value))
        must("ip", "link", "set", "eth0", "address", OUR_MAC.hex(":"), "up")
        must("ip", "addr", "add", "10.9.0.1/16", "dev", "eth0")
        must("ip", "-6", "addr", "add", "fd00:9::1/32", "dev", "eth0", "nodad")

        self.forward()
        code, _, errors = command(["nft", "-f", "-"], NEEDED)
        if code:
            print(f"this kernel lacks what the rules need: {errors}")
            sys.exit(SKIPPED)
        self.reads_later_pieces = self.reads_transport_of_later_pieces()

    def forward(self):
        """Both ends of a flow are behind the same interface, so that both directions meet the rules on their way in."""
        for name in ("ipv4/ip_forward", "ipv6/conf/all/forwarding"):
            Path("/proc/sys/net", name).write_text("1")
        for name in ("all", "eth0"):
            Path("/proc/sys/net/ipv4/conf", name, "send_redirects").write_text("0")
        must("ip", "route", "add", "10.40.0.0/16", "via", "10.9.0.2")
        must("ip", "-6", "route", "add", "fd40::/32", "via", "fd00:9::2")
        for neighbour in ("10.9.0.2", "fd00:9::2"):
            must("ip", "neigh", "add", neighbour, "lladdr", PEER_MAC.hex(":"), "dev", "eth0", "nud", "permanent")

    def reads_transport_of_later_pieces(self):
        """Linux has two ways to load a header field (nft_payload_eval, nft_payload_fast_eval), and in some versions only one of them knows
        that a later fragment has no transport header. Where that is so, such packets have no right answer and are left out."""
        with tempfile.NamedTemporaryFile("w", suffix=".nft") as rules:
            rules.write("table ip t {\nchain c {\ntype filter hook prerouting priority 0;\ntcp dport 0-65535 counter\n}\n}\n")
            rules.flush()
            if refused := self.load(rules.name):
                raise SystemExit(f"the kernel takes no rules: {refused}")
        header = bytes.fromhex("4500002800010001400600000a0900020a090001")
        header = header[:10] + checksum(header).to_bytes(2, "big") + header[12:]
        self.send([OUR_MAC + bytes(6) + b"\x08\x00" + header + bytes(20)])
        return kernel_tallies(self.result())[0]["ip t", "c"] == [[(1, 40)]]

    def tracks_as_we_do(self):
        """Versions of Linux differ in small things about TCP. The one that is followed here takes a reset for the answer to a SYN only
        from the other side; one that does not is older, and other things in it may be so too."""
        with tempfile.NamedTemporaryFile("w", suffix=".nft") as rules:
            rules.write("table ip t {\nchain c {\ntype filter hook prerouting priority 0;\ntcp flags & rst == rst ct expiration < 30s counter\n}\n}\n")
            rules.flush()
            if refused := self.load(rules.name):
                raise SystemExit(f"the kernel takes no rules: {refused}")
        flow = filter_connections.Flow(random.Random(1), 0, 0)
        flow.v6, flow.net = False, 255
        self.send(flow.segment(number, *each) for number, each in enumerate([
            (False, 2, 5000, 0), (True, 0x12, 1, 1 << 31), (False, 4, 1 << 31, 0)]))
        return kernel_tallies(self.result())[0]["ip t", "c"] == [[(0, 0)]]

    def load(self, rules):
        """None, or why the kernel or nft refuses them."""
        must("nft", "flush", "ruleset")
        code, _, errors = command(["nft", "-f", rules])
        if code == 0:
            code, _, errors = command(["nft", "-f", "-"], PROBE)
        return errors if code else None

    def send(self, frames):
        for each in frames:
            os.write(self.tap, each)

    def result(self):
        return listing()


def passed(listing, name):
    """{number: mark} of a probe's two sets, v4 and v6 apart."""
    found = {}
    for item in listing:
        each = item.get("set", {})
        if each.get("table") == "probe" and each.get("name") in (name + "4", name + "6"):
            for element in each.get("elem", []):
                number, mark = element["concat"]
                found[(each["name"][-1], number)] = mark
    return found


def key_bytes(value):
    """As the engine lists a key: addresses and ports."""
    if isinstance(value, int):
        return value.to_bytes(2, "big").hex()
    return ipaddress.ip_address(value).packed.hex()


def kernel_tallies(listing):
    """What rules, named objects and elements count, in forms that both sides have."""
    rules, objects, elements = collections.defaultdict(list), {}, collections.Counter()
    for item in listing:
        (kind, each), = item.items()
        if each.get("table") == "probe":
            continue
        if kind == "rule":
            tallies = []
            for expression in each["expr"]:
                if isinstance(expression, dict) and "packets" in (expression.get("counter") or ()):
                    tallies.append((expression["counter"]["packets"], expression["counter"]["bytes"]))
            rules[(f"{each['family']} {each['table']}", each["chain"])].append(tallies)
        elif kind == "counter":
            objects[(f"{each['family']} {each['table']}", each["name"])] = (each["packets"], each["bytes"])
        elif kind == "quota":
            objects[(f"{each['family']} {each['table']}", each["name"])] = each.get("used", 0)
        elif kind in ("set", "map"):
            for element in each.get("elem", []):
                value = element[0] if isinstance(element, list) else element
                inner = value.get("elem", {}) if isinstance(value, dict) else {}
                counter = inner.get("counter", {})
                if each["name"] in DYNAMIC:
                    key = key_bytes(inner.get("val", value))
                elif counter:
                    key = ""
                else:
                    continue
                elements[(f"{each['family']} {each['table']}", each["name"], key, counter.get("packets"), counter.get("bytes"))] += 1
    return dict(rules), objects, elements


class Attempts:
    """Counts what was compared, and nothing of a ruleset where nft does not say what the kernel has counted."""

    def __init__(self):
        self.counts = collections.Counter()

    def attempt(self, compare, *arguments):
        before = self.counts.copy()
        try:
            compare(*arguments)
        except NftAborts:
            self.counts = before
            self.counts["rulesets that nft does not list"] += 1
