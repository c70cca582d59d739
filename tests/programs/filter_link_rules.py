"""Rulesets and frames for the families that see more than IP, drawn from a seed: what stands at a link, and what stands in ARP."""

import re
import struct

import filter_packets
from filter_packets import OUR_MAC, OUR_V4
from filter_rules import Rules

BROADCAST = b"\xff" * 6
VLAN = struct.pack("!H", 0x8100)


def mac_of(number):
    """Who sends the frame of that number, by which it is known again."""
    return bytes.fromhex("025b0a09") + struct.pack("!H", number)


def arp(random, number, operation=None, target=None):
    operation = operation or random.choice([1, 1, 2, 3])
    packet = struct.pack("!HHBBH", random.choice([1] * 8 + [6]), random.choice([0x0800] * 8 + [0x86dd]), 6, 4, operation)
    packet += mac_of(number) + bytes([10, 9, 0, random.randrange(2, 40)]) + random.choice([bytes(6), OUR_MAC])
    packet += target or random.choice([OUR_V4, bytes([10, 9, 0, random.randrange(2, 40)])])
    return packet + bytes(random.choice([0, 0, 18]))


def frame(random, number, comes):
    """`comes`: as a link brings it; else as it leaves, which is never tagged."""
    to = random.choice([OUR_MAC] * 6 + [BROADCAST, bytes.fromhex("01005e000001"), bytes.fromhex("333300000001")])
    kind = random.randrange(12)
    if kind < 9:
        wild = random.random() < .5
        type_, packet = random.choice([filter_packets.v4, filter_packets.v6])(random, number, wild, False)
        packet += bytes(random.choice([0, 0, 0, 3, 18]))
        if wild and random.random() < .1:
            packet = packet[:random.randrange(len(packet))]
        if comes and random.random() < .2:
            tag = lambda: struct.pack("!HH", random.choice([0x8100, 0x8100, 0x88a8]), random.choice([0, 5, 0x2005, 0xfff]))
            return to + mac_of(number) + b"".join(tag() for _ in range(random.choice([1, 1, 2]))) + struct.pack("!H", type_) + packet + bytes(4)
        return to + mac_of(number) + struct.pack("!H", type_) + packet
    if kind == 9:
        return to + mac_of(number) + b"\x08\x06" + arp(random, number)
    body = random.choice([b"", b"\xff", b"\xff\xff"]) + bytes(random.randrange(256) for _ in range(random.choice([0, 1, 30, 60])))
    return to + mac_of(number) + struct.pack("!H", random.choice([0x88cc, 0x9000, 0x0600, 0x05ff, len(body), 4])) + body


class LinkRules(Rules):
    """Of family netdev at one hook, `ingress` or `egress`."""

    def __init__(self, random, hook):
        self.hook = hook
        super().__init__(random, False)

    def numbers(self, l3, l4):
        while True:
            kinds = [each for each in super().numbers(l3, l4)]
            one = self.pick(*kinds)
            if "symhash" not in one:
                return [one]

    def meta_match(self):
        if self.random.random() < .5:
            return super().meta_match()
        return self.pick(
            lambda: f"ether type {self.pick('', '!= ')}{self.pick('arp', 'vlan', '0x88cc', '{ ip, arp }')}",
            lambda: f"meta protocol {self.pick('', '!= ')}{self.pick('arp', 'vlan', '0x88cc', '{ ip, arp, 0x9000 }', '1', '4', '0x600')}",
            lambda: f"ether daddr {self.pick('', '!= ')}{self.pick('ff:ff:ff:ff:ff:ff', '02:5b:0a:09:00:01')}",
            lambda: f"ether saddr {self.compare()}02:5b:0a:09:00:{self.random.randrange(256):02x}",
            lambda: f"vlan id {self.pick('', '!= ')}{self.random.choice([0, 5])}", lambda: f"vlan pcp {self.random.choice([0, 1])}", "vlan type ip", "vlan id 5 ip protocol tcp",
            lambda: f"arp operation {self.pick('', '!= ')}{self.pick('request', 'reply', '{ request, reply }')}", lambda: f"arp saddr ip 10.9.0.{self.random.randrange(2, 40)}",
            lambda: f"meta pkttype {self.pick('', '!= ')}{self.pick('host', 'broadcast', 'multicast')}", "arp htype 1", "arp daddr ip 10.9.0.1",
            lambda: f"@ll,{self.random.randrange(0, 200, 8)},{self.random.choice([8, 16, 32])} {self.compare()}{self.random.randrange(255)}",
            lambda: f"meta length {self.compare()}{self.random.choice([28, 42, 46, 60, 74])}")

    def verdict(self, family, l4, later, base):
        verdict = super().verdict("inet", l4, later, base)
        return verdict if self.hook == "ingress" or not verdict.startswith("reject") else "drop"

    def rule(self, family, later, base):
        l3 = self.random.choice(["ip", "ip6"])
        l4 = self.random.choice(["tcp", "tcp", "udp", "th", "icmp" if l3 == "ip" else "icmpv6", None])
        parts = [self.match(family, l3, l4) for _ in range(self.random.choice([0, 1, 1, 1, 2]))]
        statements = ["counter"] + [self.statement(family, l3, l4) for _ in range(self.random.choice([0, 0, 1, 2]))]
        verdict = self.verdict(family, l4, later, base)
        if not parts and verdict not in ("", "continue") and not verdict.startswith("jump"):
            verdict = ""
        return " ".join(parts + statements + [verdict]).strip()

    def table(self, number, rules):
        text = super().table(number, rules)
        family = text.split()[1]
        text = text.replace(f"table {family} ", "table netdev ", 1).replace("hook prerouting", f"hook {self.hook} device {self.pick('eth0', 'eth0')}")
        return text.replace("ipv6_addr", "ipv4_addr")

    def seal(self):
        known = "mod 4294967295 seed 0x7"
        rules = [f"meta protocol ip meta mark set jhash @nh,0,128 . @nh,128,32 {known}", f"meta protocol ip6 meta mark set jhash @nh,0,128 . @nh,128,128 . @nh,256,64 {known}"]
        rules += [f"meta mark set jhash meta mark . @th,{place},{bits} {known}" for place, bits in ((0, 16), (16, 16), (32, 32), (64, 32), (96, 32), (128, 32))]
        return "\n".join(["table netdev seal {", "  chain sealed {", f"    type filter hook {self.hook} device eth0 priority 900000", *(f"    {rule}" for rule in rules), "  }", "}"])


class ArpRules:
    """`hook`: `input` or `output`."""

    def __init__(self, random, hook):
        self.random, self.hook = random, hook
        self.text = "\n".join(self.table(number) for number in range(random.choice([1, 1, 2]))) + "\n"

    def address(self):
        return f"10.9.0.{self.random.randrange(1, 40)}"

    def match(self):
        random = self.random
        sign = random.choice(["", "!= "])
        return random.choice([
            f"arp operation {sign}{random.choice(['request', 'reply', '{ request, reply }', '3'])}", f"arp saddr ip {sign}{self.address()}",
            f"arp saddr ip {sign}{{ {self.address()}, 10.9.0.50-10.9.0.60 }}", f"arp daddr ip {sign}{random.choice([self.address(), '10.9.0.1', '10.9.0.0/28'])}",
            f"arp saddr ether {random.choice(['', '!= ', '< ', '> '])}02:5b:0a:09:00:{random.randrange(256):02x}", "arp daddr ether 00:00:00:00:00:00",
            f"arp htype {sign}1", f"arp ptype {sign}ip", f"arp hlen {sign}6", f"arp plen {sign}4", f"meta length {random.choice(['< ', '> ', ''])}{random.choice([28, 42, 46])}",
            f"@nh,{random.randrange(0, 200, 8)},{random.choice([8, 16])} {random.choice(['', '< ', '> '])}{random.randrange(255)}", f"meta mark {sign}{random.choice([0, 1, 5])}",
            "iifname eth0", "oifname eth0", f"ether saddr {random.choice(['', '> '])}02:5b:0a:09:00:{random.randrange(256):02x}", "ether daddr ff:ff:ff:ff:ff:ff", "meta pkttype broadcast",
            "meta protocol arp", "arp saddr ip @seen", "arp saddr ip . arp operation { 10.9.0.3 . 1, 10.9.0.4 . 2 }", "meta oif 2", "iiftype ether"])

    def statement(self):
        random = self.random
        return random.choice(["counter name total", "limit rate 1/day burst 7 packets", f"quota over {random.randrange(1, 900)} bytes", f"meta mark set {random.randrange(9)}",
                              "meta mark set meta mark | 0x10", "add @seen { arp saddr ip }", "update @seen { arp daddr ip }", "add @slow { arp saddr ip limit rate over 1/day burst 2 packets }",
                              f"arp saddr ip set {self.address()}", "arp operation set 3", "meta mark set arp operation map { 1 : 7, 2 : 8 }"])

    def rule(self, later):
        random = self.random
        verdicts = ["accept", "drop", "return", "continue", ""] + [f"{random.choice(['jump', 'goto'])} {each}" for each in later] * 2
        parts = [self.match() for _ in range(random.choice([1, 1, 2]))]
        return " ".join(parts + ["counter"] + [self.statement() for _ in range(random.choice([0, 0, 1]))] + [random.choice(verdicts)]).strip()

    def table(self, number):
        random = self.random
        later = [f"sub{i}" for i in range(random.randrange(3))]
        lines = [f"table arp t{number} {{", "  counter total { }", "  set seen { type ipv4_addr; flags dynamic; size 500; }", "  set slow { type ipv4_addr; flags dynamic; size 500; }"]
        for i, chain in reversed(list(enumerate(later))):
            lines += [f"  chain {chain} {{", *(f"    {self.rule(later[i + 1:])}" for _ in range(random.randrange(1, 6))), "  }"]
        for i in range(random.choice([1, 2])):
            lines += [f"  chain base{i} {{", f"    type filter hook {self.hook} priority {random.choice([-10, 0, 5])}; policy {random.choice(['accept', 'accept', 'drop'])};",
                      *(f"    {self.rule(later)}" for _ in range(random.randrange(1, 12))), "  }"]
        return "\n".join(lines + ["}"])


PORTS = ["p0", "p1", "p2", "p3"]  # of a switch


def bridged(random, number):
    """As it comes to a switch: from one of some stations, to another, to many, or to one that nobody knows."""
    each = frame(random, number, True)
    station = lambda: bytes.fromhex("025b0a0a00") + bytes([random.randrange(12)])
    to = random.choice([station(), station(), station(), BROADCAST, bytes.fromhex("01005e000001"), bytes.fromhex("333300000001")])
    return to + station() + each[12:] + bytes(max(0, 60 - len(each)))


class BridgeRules(LinkRules):
    """Of family bridge, at the three hooks that a switch has."""

    def __init__(self, random):
        super().__init__(random, "ingress")

    def meta_match(self):
        if self.random.random() < .6:
            return super().meta_match()
        port = lambda: self.pick(*PORTS)
        return self.pick(
            lambda: f"{self.pick('iifname', 'oifname')} {self.pick('', '!= ')}{self.pick(port, 'p*', '{ p0, p2 }', 'lo')}",
            lambda: f"ether {self.pick('saddr', 'daddr')} {self.compare()}02:5b:0a:0a:00:0{self.random.randrange(10)}",
            lambda: f"meta pkttype {self.pick('', '!= ')}{self.pick('other', 'broadcast', 'multicast')}",
            lambda: f"iifname . oifname {{ {port()} . {port()}, {port()} . {port()} }}", lambda: f"iifname vmap {{ p0 : continue, p1 : {self.pick('return', 'drop', 'accept')} }}",
            lambda: f"ether saddr . iifname {{ 02:5b:0a:0a:00:0{self.random.randrange(10)} . {port()} }}")

    def verdict(self, family, l4, later, base):
        verdict = super().verdict(family, l4, later, base)
        return "drop" if verdict.startswith("reject") else verdict

    def table(self, number, rules):
        text = super().table(number, rules).replace("table netdev ", "table bridge ", 1)
        for device, port in (("eth00", "p00"), ("eth0", "p0"), ("e*", "p*"), ("lo", "p1")):
            text = re.sub(rf"((?:iif|oif)(?:name)? (?:!= )?(?:{{ )?(?:\w+, )?){re.escape(device)}(?=[ }}\n,])", rf"\g<1>{port}", text)
        text = re.sub(r"\bmeta oif 0", "oifname p2", re.sub(r"\biif ", "iifname ", text))
        text = text.replace("@ll,96,8 ", "@ll,88,8 ")  # nft 1.0.6 dies of a segmentation fault where it lists that one in a bridge
        return re.sub(r"hook ingress device \S+", lambda _: f"hook {self.pick('prerouting', 'forward', 'forward', 'postrouting')}", text)

    def seal(self):
        """What has become of marks."""
        return "\n".join(["table bridge seal {", "  set marks { type mark; flags dynamic; size 20000; }", "  chain sealed {", "    type filter hook postrouting priority 900000",
                          "    add @marks { meta mark counter }", "  }", "}"])
