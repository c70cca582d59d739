"""Flows through rules that translate, drawn from a seed: those that a host begins and those that it is asked for.

Each packet goes through the kernel before the next one is made, because who answers must know what a flow was translated to.
What is written here is about IPv4; of IPv6 are the same rules and flows, with each address as its counterpart.
"""

import os
import re
import socket
import struct
import time

from filter_connections import Flow
from filter_packets import OUR_MAC, PEER_MAC, checksum

# The host begins flows as these and is asked as these. It has the others too, for what is translated.
HOST = ["10.9.0.1", *(f"10.9.0.{i}" for i in range(5, 9))]
OURS = [*HOST, "10.9.0.9", *(f"10.9.0.{i}" for i in range(20, 30)), *(f"10.9.7.{i}" for i in (1, 5, 6, 7, 8))]
# The network's. Flows of the first are translated to the others.
NETS = ["10.42.0.0/16", "10.44.0.0/16", "10.45.0.0/16"]
PROTOCOLS = {"tcp": 6, "udp": 17, "icmp": 1, "other": 253}


def v6_text(text):
    """Each address in IPv6: 10.9.0.1 is fd0a:9::0:1."""
    def address(found):
        first, second, third, fourth = (int(part) for part in found.group(1).split("."))
        length = {None: "", "16": "/32", "22": "/110", "24": "/112"}[found.group(2)]
        return f"fd{first:02x}:{second:x}::{third:x}:{fourth:x}{length}"
    text = re.sub(r"& 0\.0\.0\.2 == 0\.0\.0\.2", "& ::2 == ::2", text)
    return re.sub(r"\b(\d+\.\d+\.\d+\.\d+)(?:/(\d+))?", address, text)


class Layout:
    """Where things lie in a packet of IPv4, or of IPv6 without further headers."""

    def __init__(self, v6):
        self.v6 = v6
        self.protocol, self.source, self.destination, self.transport = (6, 8, 24, 40) if v6 else (9, 12, 16, 20)
        self.number = slice(2, 4) if v6 else slice(4, 6)  # by which it is known
        self.icmp = 58 if v6 else 1

    def ends(self, packet):
        return packet[self.source:self.destination], packet[self.destination:2 * self.destination - self.source]


def packed(address, v6):
    return socket.inet_pton(socket.AF_INET6, v6_text(address)) if v6 else socket.inet_aton(address)


def rules_v6(random):
    """Those of IPv4, without maps to two addresses or to an address and a port, which are longer than a map may hold."""
    lines = [line for line in rules(random).split("\n") if not re.search(r"prefix.* map|map \{[^}]*: 10\.\S+ \. ", line)]
    # Before a port an address of IPv6 stands in brackets.
    address = r"(\d+\.\d+\.\d+\.\d+)"
    text = re.sub(rf"to {address}-{address}:", r"to [\1]-[\2]:", "\n".join(lines))
    text = v6_text(re.sub(rf"to {address}:", r"to [\1]:", text)).replace("table ip ", "table ip6 ").replace("meta l4proto icmp", "meta l4proto ipv6-icmp")
    for old, new in (("nat ip to", "nat ip6 to"), ("nat ip prefix", "nat ip6 prefix"), ("ip saddr", "ip6 saddr"), ("ip daddr", "ip6 daddr"), ("ip ttl", "ip6 hoplimit"), ("ip dscp", "ip6 dscp"), ("ip ecn", "ip6 ecn")):
        text = re.sub(rf"{old}\b", new, text)
    return text


# Before anything else: what the kernel itself answers stays in the host.
QUIET = """
table inet quiet {
  chain out { type filter hook output priority -500; oif eth0 meta mark != 0x99 drop; meta mark set 0; }
}
""".replace("; oif", "\n oif").replace("; meta mark set", "\n meta mark set").replace("; }", "\n }")


def rules(random):
    """Only what translates in one way: Linux draws ports where the one of a packet is not free, and so do we."""
    def some(choices, most):
        return [choice.replace("#", random.choice(["counter ", "counter ", ""])) for choice in random.sample(choices, random.randrange(most + 1))]
    pre = some(["tcp dport 80 #dnat to 10.9.0.5:8080", "udp dport 53 #dnat to 10.9.0.6", "tcp dport { 80, 443 } #redirect to :8080", "meta l4proto icmp #dnat to 10.9.0.7",
                "udp dport 53 #redirect to :5300-5310", "meta l4proto udp #dnat to :5353", "#dnat to tcp dport map { 80 : 10.9.0.5 . 8080, 443 : 10.9.0.8 . 4430 }",
                "meta l4proto tcp #redirect to :tcp dport map { 80 : 8000, 443 : 8443 }", "#dnat to 10.9.0.5-10.9.0.8", "#dnat to 10.9.0.5-10.9.0.8 persistent",
                "#dnat to ip saddr map { 10.42.0.0-10.42.99.255 : 10.9.0.5, 10.42.100.0/22 : 10.9.0.6 }", "tcp dport 443 #accept", "udp dport 80 #drop", "#ct mark set 7",
                "ip saddr & 0.0.0.2 == 0.0.0.2 #jump more", "#redirect", "tcp dport 80 #dnat to 10.9.0.5-10.9.0.6:8000-8010"], 4)
    into = some(["#snat to 10.44.0.1", "#snat to 10.44.1.1-10.44.1.9", "tcp dport 8080 #snat to 10.44.2.2:1024-65535", "meta l4proto udp #snat to 10.44.0.4:7777",
                 "meta l4proto icmp #snat to 10.44.0.3", "tcp dport 80 #return", "#snat to 10.44.3.1-10.44.3.200 persistent"], 1)
    out = some(["tcp dport 80 #dnat to 10.45.0.1:8080", "#dnat to 10.45.1.1-10.45.1.200", "udp dport 53 #dnat to 10.45.0.2:5300-5310", "meta l4proto icmp #dnat to 10.45.0.9",
                "#dnat ip prefix to ip daddr map { 10.42.0.0/16 : 10.45.0.0/16 }", "#dnat ip prefix to 10.45.0.0/24", "#dnat to tcp dport map { 80 : 10.45.2.1 . 81, 443 : 10.45.2.2 . 444 }",
                "meta l4proto tcp #dnat to :99", "udp dport 53 #accept", "tcp dport 443 #jump more"], 3)
    post = some(["#masquerade", "#snat to 10.9.0.5", "#snat to 10.9.0.20-10.9.0.29", "meta l4proto tcp #snat to 10.9.0.9:1024-65535", "meta l4proto udp #masquerade to :1024-65535",
                 "#snat ip prefix to ip saddr map { 10.9.0.0/24 : 10.9.7.0/24 }", "#snat ip prefix to 10.9.7.0/24", "tcp dport 443 #snat to 10.9.0.6:5555", "#snat to 10.9.0.20-10.9.0.29 persistent",
                 "meta l4proto icmp #snat to 10.9.0.8", "udp dport 53 #snat to ip daddr map { 10.42.0.0/16 : 10.9.0.7 }"], 2)
    told = ["ct status snat counter", "ct status dnat counter", "ct direction reply counter", "ct state new counter", "ct state established counter", "ct state related counter",
            "ct state invalid counter", "meta l4proto tcp ct original proto-dst { 80, 443 } counter", "meta l4proto tcp ct reply proto-src 8080 counter", "ct original ip daddr 10.9.0.1 counter",
            "ct reply ip saddr 10.45.0.0/16 counter", "ct reply ip daddr 10.9.0.20-10.9.0.29 counter", "ip daddr 10.9.0.5 counter", "ip saddr 10.44.0.0/16 counter",
            "meta l4proto tcp th dport 8080 counter", "meta l4proto { tcp, udp } th sport { 80, 5353 } counter", "meta l4proto tcp ct reply proto-dst 5555 counter"]

    written = ["ip dscp set ef", "ip ttl set 9", "ip ecn set ce", "tcp window set 7", "tcp flags set ack", "tcp dport 80 #tcp dport set 99", "udp sport 53 #udp sport set 54", "tcp sequence set 5",
               "udp dport 53 #ip ttl set 3 ip dscp set cs1", "meta l4proto icmp #ip ttl set 1", "meta l4proto tcp @th,96,16 set 99"]

    def chain(name, type_, hook, priority, lines):
        return [f"chain {name} {{", f"type {type_} hook {hook} priority {priority}", *lines, "}"]

    def nat(name, hook, lines, usual):
        return chain(name, "nat", hook, random.choice([usual, usual, usual - 20, usual + 7, -199]), lines)
    more = ["chain more {", "counter", random.choice(["accept", "return", "counter"]), "}"]
    chains = [nat("pre", "prerouting", pre, -100), nat("in", "input", into, 100), nat("out", "output", out, -100), nat("post", "postrouting", post, 100)]
    if random.random() < .3:
        chains.append(nat("pre2", "prerouting", pre[:1], -100))
    for i, (hook, priority) in enumerate([("prerouting", -150), ("prerouting", -100), ("prerouting", 0), ("input", 50), ("input", 100), ("input", 150), ("output", -150), ("output", 0),
                                          ("postrouting", 50), ("postrouting", 150)]):
        chains.append(chain(f"told{i}", "filter", hook, priority, some(written, 1) * (random.random() < .3) + random.sample(told, 6)))
    if random.random() < .2:
        chains.append(chain("judge", "filter", random.choice(["prerouting", "input", "output", "postrouting"]), 0,
                            [random.choice(["ct state invalid drop", "ct status dnat limit rate over 1/day burst 9 packets drop", "tcp flags syn / syn,ack limit rate over 1/day burst 3 packets drop"])]))
    random.shuffle(chains)
    family = random.choice(["ip", "ip", "inet"])
    lines = [line for each in [more, *chains] for line in each]
    if family == "inet":
        lines = [line.replace("dnat to 1", "dnat ip to 1").replace("snat to 1", "snat ip to 1").replace("dnat to tcp", "dnat ip to tcp").replace("nat to ip", "nat ip to ip") for line in lines]
    return "\n".join([f"table {family} t {{", *lines, "}", ""])


class TranslatedFlow(Flow):
    """`near` is what its initiator sees of it, `far` what its responder does: each two addresses and two ports."""

    def __init__(self, random, run, number, v6):
        super().__init__(random, run, number)
        self.v6, self.layout = v6, Layout(v6)
        self.begins_here = random.random() < .5
        ours, theirs = random.choice(HOST), f"10.42.{run % 250}.{random.randrange(1, 250)}"
        self.near = ([theirs, ours], [20000 + (run * 40 + number) % 40000, self.ports[1]])
        if self.begins_here:
            self.near = (self.near[0][::-1], self.near[1])
        self.far = None
        self.quotable = []  # (it went to the initiator, as it came there)

    def view(self, reply):
        return self.far if reply and self.far else self.near

    def ports_of(self, reply):
        ports = self.view(reply)[1]
        return ports[::-1] if reply else ports

    def addresses(self, reply):
        both = [packed(address, self.v6) if isinstance(address, str) else address for address in self.view(reply)[0]]
        return both[::-1] if reply else both

    def packet(self, number):
        """(it goes to the initiator, its bytes)."""
        random = self.random
        if self.quotable and random.random() < .1:
            return self.error(number)
        reply = self.far is not None and random.random() < .45
        if self.protocol == "tcp":
            reply, body = self.tcp(reply)
        elif self.protocol == "udp":
            body = self.udp(reply)
        elif self.protocol == "icmp":
            body = self.icmp(reply).ljust(8, b"\0")  # raw sockets see no shorter ones
        else:
            body = bytes(8)
        if reply and self.far is None:
            return self.packet(number)
        protocol = self.number_of_protocol()
        body = self.summed(protocol, body, reply)
        if protocol == 17 and random.random() < .2:
            body = body[:6] + b"\0\0" + body[8:]  # no checksum
        return reply, self.ip(number, protocol, body, reply)

    def number_of_protocol(self):
        return self.layout.icmp if self.protocol == "icmp" else PROTOCOLS[self.protocol]

    def error(self, number):
        random, layout = self.random, self.layout
        to_initiator, quoted = random.choice(self.quotable)
        reply = not to_initiator
        destination, source = layout.ends(quoted)
        head = layout.transport
        quoted = quoted[:random.choice([head + 8, head + 8, head + 20, head + 40, 200, random.randrange(head, head + 40)])]
        body = struct.pack("!BBHI", random.choice([1, 1, 2, 3, 4] if self.v6 else [3, 3, 3, 4, 5, 11, 12]), random.randrange(3), 0, 0) + quoted
        if not (self.leaves(reply) or random.random() < .7):
            source = self.addresses(reply)[0]
        pseudo = source + destination + struct.pack("!IHBB", len(body), 0, 0, 58) if self.v6 else b""
        body = body[:2] + struct.pack("!H", checksum(pseudo + body)) + body[4:]
        packet = bytearray(self.ip(number, layout.icmp, body, reply))
        packet[layout.source:layout.source + len(source) * 2] = source + destination
        return reply, bytes(packet) if self.v6 else checked(packet)

    def leaves(self, reply):
        return self.begins_here != reply

    def came(self, reply, sent, packet):
        """What the other end got. What tracking calls invalid is not translated."""
        layout = self.layout
        at = layout.transport
        if packet[layout.protocol] != self.number_of_protocol() or len(packet) < at + 8:
            return
        self.quotable.append((reply, packet))
        if reply or (self.far and packet == sent):
            return
        ports = [0, 0]
        if packet[layout.protocol] in (6, 17):
            ports = list(struct.unpack("!HH", packet[at:at + 4]))
        if packet[layout.protocol] == layout.icmp:
            ports = [int.from_bytes(packet[at + 4:at + 6], "big"), 0]
        self.far = (list(layout.ends(packet)), ports)


def checked(packet):
    """With the right checksum of the IP header."""
    total = sum(struct.unpack("!10H", bytes(packet[:10]) + b"\0\0" + bytes(packet[12:20])))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    packet[10:12] = struct.pack("!H", ~total & 0xffff)
    return bytes(packet)


class Host:
    """The namespace as a host that begins flows and is asked: what leaves it is read at the TAP, what comes to its programs from raw sockets."""

    def __init__(self, tap, v6):
        self.tap, self.layout = tap, Layout(v6)
        self.kind = b"\x86\xdd" if v6 else b"\x08\x00"
        family = socket.AF_INET6 if v6 else socket.AF_INET
        os.set_blocking(tap, False)
        self.out = socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_RAW)
        self.out.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, 0x99)
        self.into = []
        for protocol in {**PROTOCOLS, "icmp": self.layout.icmp}.values():
            each = socket.socket(family, socket.SOCK_RAW, protocol)
            each.setblocking(False)
            for option in (socket.IPV6_RECVPKTINFO, socket.IPV6_RECVHOPLIMIT, socket.IPV6_RECVTCLASS) if v6 else ():
                each.setsockopt(socket.IPPROTO_IPV6, option, 1)
            self.into.append(each)
        self.wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        self.wire.bind(("eth0", 0))
        self.markers = 0

    def send(self, packet, leaves):
        """What became of it: None, or its bytes where it came to."""
        if not leaves:
            os.write(self.tap, OUR_MAC + PEER_MAC + self.kind + packet)
            return self.delivered(packet)
        to = self.layout.ends(packet)[1]
        try:
            self.out.sendto(packet, (socket.inet_ntop(socket.AF_INET6, to), 0, 0, 0) if self.layout.v6 else (socket.inet_ntoa(to), 0))
        except OSError:
            return None  # a rule drops it
        return self.left(packet[self.layout.number])

    def left(self, number):
        """Frames leave in their order: behind one of our own nothing is to come."""
        self.markers += 1
        marker = bytes(12) + b"\x88\xb5" + self.markers.to_bytes(8, "big") + bytes(40)
        self.wire.send(marker)
        found, deadline = None, time.monotonic() + 20
        while True:
            try:
                frame = os.read(self.tap, 70000)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise SystemExit("the TAP lost a frame") from None
                time.sleep(.0002)
                continue
            if frame == marker:
                return found
            packet = frame[14:]
            if frame[12:14] == self.kind and packet[self.layout.number] == number:
                found = packet[:40 + int.from_bytes(packet[4:6], "big") if self.layout.v6 else int.from_bytes(packet[2:4], "big")]

    def delivered(self, sent):
        found = None
        for each in self.into:
            while True:
                try:
                    packet, ancillary, _, source = each.recvmsg(70000, 1000)
                except BlockingIOError:
                    break
                if self.layout.v6:
                    packet = self.with_header(sent, packet, source[0], {kind: value for _, kind, value in ancillary})
                if packet[self.layout.number] == sent[self.layout.number]:
                    found = packet
        return found

    @staticmethod
    def with_header(sent, body, source, ancillary):
        """Sockets of IPv6 get no header, but nearly all of what stands in it."""
        traffic_class, hop_limit = (struct.unpack("=i", ancillary[kind])[0] for kind in (socket.IPV6_TCLASS, socket.IPV6_HOPLIMIT))
        first = 6 << 28 | traffic_class << 20 | int.from_bytes(sent[:4], "big") & 0xfffff
        return struct.pack("!IHBB", first, len(body), sent[6], hop_limit) + socket.inet_pton(socket.AF_INET6, source.split("%")[0]) + ancillary[socket.IPV6_PKTINFO][:16] + body


def converse(random, run, count, host):
    """(packets, what became of each)."""
    flows = [TranslatedFlow(random, run, i, host.layout.v6) for i in range(max(1, count // 20))]
    packets, fates = [], []
    for number in range(1, count + 1):
        flow = random.choice(flows)
        reply, packet = flow.packet(number)
        fate = host.send(packet, flow.leaves(reply))
        if fate is not None:
            flow.came(reply, packet, fate)
        packets.append(packet)
        fates.append(fate)
    return packets, fates
