"""Flows for connection tracking, drawn from a seed: what two ends say to each other, and what they should not.

Both directions enter at the same interface and leave there again, because whoever tracks them forwards them.
"""

import struct

from filter_packets import OUR_MAC, PEER_MAC, checksum

# Everything that tracking tells of a packet, in bits of its mark; how long the flow still has is told in steps that no test comes near.
STATES = {"new": 1, "established": 2, "related": 4, "invalid": 8, "untracked": 16}
EXPIRY = ["5s", "20s", "45s", "90s", "200s", "450s", "1h"]


def rules(random):
    """Says in the mark what is tracked; some packets are dropped, or not tracked, as rules do."""
    told = [f"ct state {name} meta mark set meta mark | {bit}" for name, bit in STATES.items()]
    told += ["ct direction reply meta mark set meta mark | 0x20", "ct status assured meta mark set meta mark | 0x40",
             "ct status seen-reply meta mark set meta mark | 0x80", "ct status confirmed meta mark set meta mark | 0x100"]
    told += [f"ct expiration > {time} meta mark set meta mark | {0x200 << i:#x}" for i, time in enumerate(EXPIRY)]
    told += ["meta l4proto tcp ct original proto-dst 80 meta mark set meta mark | 0x10000", "meta l4proto udp ct reply proto-src 80-443 meta mark set meta mark | 0x20000",
             "ct protocol tcp meta mark set meta mark | 0x40000", "ct l3proto ipv6 meta mark set meta mark | 0x80000",
             "ct original ip saddr & 0.0.0.1 == 0.0.0.1 meta mark set meta mark | 0x100000", "ct reply ip6 daddr & ::1 == ::1 meta mark set meta mark | 0x200000",
             "ct mark 7 meta mark set meta mark | 0x400000", "ct mark 0 meta mark set meta mark | 0x800000",
             f"ct original packets > {random.randrange(1, 6)} meta mark set meta mark | 0x1000000", f"ct reply bytes >= {random.randrange(28, 400)} meta mark set meta mark | 0x2000000",
             f"ct avgpkt < {random.randrange(28, 80)} meta mark set meta mark | 0x4000000", f"ct packets {random.randrange(1, 4)}-9 meta mark set meta mark | 0x8000000"]
    judged = [f"ct state {random.choice(['new', 'established', 'invalid', 'related', 'new,invalid'])} {{}}",
              f"meta l4proto {random.choice(['tcp', 'udp', 'icmp'])} ct direction {random.choice(['original', 'reply'])} {{}}",
              "tcp flags & (fin|syn|rst|ack) == syn {}", "tcp flags & rst == rst {}", "ct status seen-reply {}",
              "ct state vmap {{ established : accept, invalid : drop }}"]
    doing = [lambda: f"limit rate over 1/day burst {random.randrange(1, 30)} packets drop", lambda: "ct mark set 7", lambda: "counter",
             lambda: "ct mark set meta mark"]
    chosen = [random.choice(judged).format(random.choice(doing)()) for _ in range(random.randrange(4))]
    if not chosen:
        # Once for each flow, because Linux counts one twice that it meets twice between two ticks of its clock.
        chosen = [f"meta l4proto {{ udp, icmp, icmpv6, 253 }} ct state new ct original packets 1 ct count over {random.randrange(5)} meta mark set meta mark | 0x10000000"]
    raw = []
    if random.random() < .2:
        raw = ["chain raw {", "type filter hook prerouting priority raw", f"udp dport {random.choice([53, 80])} notrack",
               f"ct state untracked limit rate over 1/day burst {random.randrange(5, 50)} packets drop", "}"]
    if random.random() < .3:
        # Of both directions, or of one whose answers are then none.
        kinds = ["meta l4proto udp {}", "meta l4proto tcp {}", "tcp dport 80 {}", "th dport 1024-9000 {}", "ip saddr & 0.0.0.1 == 0.0.0.1 {}", "{}", "meta l4proto { icmp, icmpv6 } {}"]
        raw += ["chain zones {", "type filter hook prerouting priority -310",
                *(random.choice(kinds).replace("{}", f"ct zone set {random.choice([0, 5, 7, 65535])}") for _ in range(random.randrange(1, 4))), "}"]
        told = told + ["ct zone 5 meta mark set meta mark | 0x20000000", "ct original zone > 5 meta mark set meta mark | 0x40000000"]
    return "\n".join(["table inet t {", *raw, "chain c {", "type filter hook prerouting priority 0", *told, *chosen, "}", "}", ""])


class Flow:
    """Two ends, and what each has sent so far."""

    def __init__(self, random, run, number):
        self.random = random
        self.v6 = random.random() < .3
        self.protocol = random.choice(["tcp", "tcp", "tcp", "tcp", "udp", "icmp", "other"])
        # Of their own for each run, because the kernel remembers those of the last one.
        self.ports = [1024 + (run * 37 + number) % 60000, random.choice([80, 443, 53])]
        self.net, self.host = run % 200, run // 200 % 100 * 2 + 1  # the last nets are for others
        self.seq = [random.choice([0, 1, 5000, 2**31 - 50, 2**32 - 100, random.getrandbits(32)]) for _ in range(2)]
        self.window = [random.choice([50, 200, 5000, 65535]) for _ in range(2)]
        self.step, self.last, self.sent = 0, None, []

    def ports_of(self, reply):
        return self.ports[::-1] if reply else self.ports

    def addresses(self, reply):
        if self.v6:
            both = [bytes.fromhex("fd400000") + bytes([0, self.net]) + bytes(9) + bytes([self.host + i]) for i in (0, 1)]
        else:
            both = [bytes([10, 40, self.net, self.host + i]) for i in (0, 1)]
        return both[::-1] if reply else both

    def packet(self, number):
        random = self.random
        reply = random.random() < .45
        if self.protocol == "tcp":
            reply, body = self.tcp(reply)
            protocol = 6
        elif self.protocol == "udp":
            protocol, body = 17, self.udp(reply)
        elif self.protocol == "icmp":
            protocol, body = (58 if self.v6 else 1), self.icmp(reply)
        else:
            protocol, body = 253, bytes(random.randrange(20))
        if self.sent and random.random() < .06:
            reply = random.random() < .5
            protocol, body = (58 if self.v6 else 1), self.error()
        body = self.summed(protocol, body, reply)
        packet = self.ip(number, protocol, body, reply)
        self.sent.append(packet)
        return OUR_MAC + PEER_MAC + (b"\x86\xdd" if self.v6 else b"\x08\x00") + packet

    def segment(self, number, reply, flags, seq, ack):
        head = struct.pack("!HHIIBBHHH", *self.ports_of(reply), seq, ack, 5 << 4, flags, 1000, 0, 0)
        return OUR_MAC + PEER_MAC + b"\x08\x00" + self.ip(number, 6, self.summed(6, head, reply), reply)

    def ip(self, number, protocol, body, reply):
        source, destination = self.addresses(reply)
        if self.v6:
            return struct.pack("!IHBB", 6 << 28 | number, len(body), protocol, 64) + source + destination + body
        header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(body), number, 0, 64, protocol, 0, source, destination)
        return header[:10] + struct.pack("!H", checksum(header)) + header[12:] + body

    def summed(self, protocol, body, reply):
        """With a right checksum: the kernel calls a packet with a wrong one invalid."""
        at = {6: 16, 17: 6, 1: 2, 58: 2}.get(protocol)
        if at is None or len(body) < at + 2:
            return body
        source, destination = self.addresses(reply)
        pseudo = b"" if protocol == 1 else source + destination + struct.pack("!IHBB", len(body), 0, 0, protocol) if self.v6 \
            else source + destination + struct.pack("!BBH", 0, protocol, len(body))
        clean = body[:at] + b"\0\0" + body[at + 2:]
        return body[:at] + struct.pack("!H", checksum(pseudo + clean) or 0xffff) + body[at + 2:]

    # What a connection does in turn: who sends it, its flags, bytes of payload.
    USUAL = [(False, 2, 0), (True, 0x12, 0), (False, 0x10, 0), (False, 0x18, 30), (True, 0x10, 0), (True, 0x18, 60), (False, 0x10, 0),
             (False, 0x11, 0), (True, 0x10, 0), (True, 0x11, 0), (False, 0x10, 0), (False, 2, 0), (True, 0x12, 0)]

    def tcp(self, reply):
        random = self.random
        draw = random.random()
        if draw < .62 and self.step < len(self.USUAL):
            reply, flags, length = self.USUAL[self.step]
            self.step += 1
        elif draw < .75 and self.last:
            reply, flags, length = self.last  # once more, or nearly
        else:
            flags = random.choice([2, 0x12, 0x10, 0x10, 0x10, 0x18, 0x11, 4, 4, 0x14, 0x14, 0, 1, 3, 0x30, 0x29, 0x31, 0x22, 0x32, 0xd0])
            length = random.choice([0, 0, 1, 40, 200])
            if flags & 4 and random.random() < .3:
                self.step = 0  # it may begin anew
        self.last = reply, flags, length
        seq, ack = self.seq[reply], self.seq[not reply]
        noise = random.random()
        if noise < .12:
            seq += random.choice([-1, 1, -length, 100, -100, 3000, -70000, 70000, 2**31])
        elif noise < .24:
            ack += random.choice([-1, 1, 50, -50, 5000, -66001, -70000, 2**30])
        elif noise < .27:
            seq = 0
        elif noise < .30:
            ack = 0
        options = b""
        if flags & 2:
            options = random.choice([b"", b"\2\4\5\xb4", b"\3\3" + bytes([random.choice([0, 2, 7, 15])]) + b"\1", b"\4\2\1\1",
                                     b"\4\2\3\3\4\1\1\1", b"\2\4\5\xb4\4\2\1\1\1\3\3\5", b"\3\1\0\0", b"\1\1\1\3"])
        elif random.random() < .15:
            right = (ack + random.choice([0, 10, 100, 60000, -5])) % 2**32
            options = random.choice([b"\1\1\5\x0a" + struct.pack("!II", ack % 2**32, right), b"\1\1\x08\x0a" + bytes(8), b"\1\1\5\x09" + bytes(8)])
        window = random.choice([self.window[reply]] * 5 + [0, 1, 65535])
        offset = 5 + len(options) // 4
        if random.random() < .02:
            offset = random.randrange(16)
        head = struct.pack("!HHIIBBHHH", *self.ports_of(reply), seq % 2**32, ack % 2**32 if flags & 0x10 or random.random() < .1 else 0,
                           offset << 4, flags, window, 0, 0)
        if noise >= .3 and not flags & 4:
            self.seq[reply] = (seq + length + bool(flags & 2) + bool(flags & 1)) % 2**32
        if flags == 2 and noise >= .3 and random.random() < .3:
            self.seq[reply] = random.getrandbits(32)  # the next one has another beginning
        body = head + options + bytes(length)
        return reply, body[:random.randrange(20)] if random.random() < .01 else body

    def udp(self, reply):
        random = self.random
        length = 8 + random.choice([0, 5])
        told = length if random.random() < .95 else random.choice([0, 7, length + 1, 8])
        return struct.pack("!HHHH", *self.ports_of(reply), told, 0) + bytes(length - 8)

    def icmp(self, reply):
        random = self.random
        pairs = [(128, 129), (139, 140)] if self.v6 else [(8, 0), (13, 14), (15, 16), (17, 18)]
        if self.step == 0:
            self.pair = random.choice(pairs)
            self.step = 1
        kind = self.pair[reply] if random.random() < .9 else random.choice([9, 19, 40, 6, 133, 135, 130, 143, 144, 200])
        return struct.pack("!BBHHH", kind, random.choice([0, 0, 0, 1]), 0, self.ports_of(reply)[reply], 1)[:random.choice([8] * 20 + [7])]

    def error(self):
        random = self.random
        kind = random.choice([1, 2, 3, 4, 100]) if self.v6 else random.choice([3, 3, 4, 5, 11, 12])
        quoted = random.choice(self.sent)
        if random.random() < .2:
            quoted = quoted[:random.randrange(len(quoted))]
        return struct.pack("!BBHI", kind, random.randrange(3), 0, 0) + quoted[:100]


def frames(random, run, count):
    flows = [Flow(random, run, i) for i in range(max(1, count // 25))]
    return [random.choice(flows).packet(number) for number in range(1, count + 1)]
