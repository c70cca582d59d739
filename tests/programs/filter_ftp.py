"""FTP conversations, drawn from a seed, and rules that have them read: for filter_nat_kernel.py, which sends each packet through the kernel before the next is made."""

import ipaddress
import re
import struct

from filter_packets import checksum
from filter_translations import OURS, TranslatedFlow, packed, v6_text

WANTED = 'table inet wanted {\n  ct helper h { type "ftp" protocol tcp; }\n  chain c {\n    type filter hook input priority 0\n    tcp dport 21 ct helper set "h"\n    ct helper "ftp" counter\n  }\n}\n'


# In both families. Behind the router: to a neighbour that does not answer ARP the kernel lets nothing out, whatever its rules say.
STRANGER = ["10.42.0.77", v6_text("10.42.0.77")]


def rules(random):
    """Who is helped, and what is told of all packets; in some rulesets only what belongs together passes, in most control connections are translated."""
    family = random.choice(["inet", "inet", "ip"])
    names = [random.choice(['tcp dport 21 ct helper set "files"', 'tcp dport { 21, 2121 } ct helper set "files"', 'ct helper set tcp dport map { 21 : "files", 2121 : "files" }',
                            'meta l4proto tcp ct helper set "files"', 'meta l4proto udp ct helper set "files"']) if random.random() < .4 else 'tcp dport { 21, 2121 } ct helper set "files"' for _ in range(2)]
    chains = [["chain pre {", f"type filter hook prerouting priority {random.choice([-150, -199, 0])}", names[0], "}"],
              ["chain out {", f"type filter hook output priority {random.choice([-150, -199, 0])}", names[1], "}"]]
    if random.random() < .5:
        chains += [[f"chain mark_{hook} {{", f"type filter hook {hook} priority -140", "tcp dport { 21, 2121 } ct mark set 7", "}"] for hook in ("prerouting", "output")]
    told = [*(f"ct state {state} counter" for state in ("new", "established", "related", "invalid")), 'ct helper "ftp" counter comment "expected"', "ct status expected counter", "ct mark 7 counter",
            'ct state related ct helper "ftp" counter', "ct direction reply counter", "ct original packets > 2 counter"]
    for hook in ("prerouting", "input", "output", "postrouting"):
        chains.append([f"chain told_{hook} {{", f"type filter hook {hook} priority 50", *told, "}"])
    if random.random() < .6:
        nat = "nat ip to" if family == "inet" else "nat to"
        for name, hook, priority, choices in (("dstnat", "prerouting", -100, ["tcp dport 2121 redirect to :21", f"tcp dport {{ 21, 2121 }} d{nat} 10.9.0.5:21", f"tcp dport 21 d{nat} 10.9.0.6", "tcp dport 21 redirect to :2121"]),
                                              ("srcnat", "postrouting", 100, ["masquerade", f"s{nat} 10.9.0.20", f"tcp dport {{ 21, 2121 }} s{nat} 10.9.0.9", f"s{nat} 10.9.0.28"]),
                                              ("led", "output", -100, [f"tcp dport {{ 21, 2121 }} d{nat} 10.45.0.1:21", f"tcp dport 21 d{nat} 10.45.100.200", "tcp dport 2121 dnat to :21"]),
                                              ("hidden", "input", 100, [f"tcp dport {{ 21, 2121 }} s{nat} 10.44.0.1", f"s{nat} 10.44.111.222"])):
            if random.random() < .6:
                chains.append([f"chain {name} {{", f"type nat hook {hook} priority {priority}", random.choice(choices), "}"])
    if random.random() < .5:
        for hook in ("input", "output"):
            chains.append([f"chain judge_{hook} {{", f"type filter hook {hook} priority 10; policy drop", "ct state established,related accept", "tcp dport { 21, 2121 } accept", "}"])
    random.shuffle(chains)
    protocol = random.choice(["", "l3proto ip", "l3proto ip", "l3proto ip6" if family == "inet" else ""])
    return "\n".join([f"table {family} t {{", "ct helper files {", 'type "ftp" protocol tcp', protocol, "}", *(line for chain in chains for line in chain), "}", ""])


def rules_v6(random):
    text = v6_text(re.sub(r"to (\d+\.\d+\.\d+\.\d+):", r"to [\1]:", rules(random)))
    return text.replace("table ip ", "table ip6 ").replace("l3proto ip\n", "l3proto ip6\n").replace("nat ip to", "nat ip6 to")


def finished(layout, packet):
    """Linux leaves the checksum of what it has written anew to whoever needs it, as a program does not."""
    at = layout.transport + 16
    if packet[layout.protocol] != 6 or len(packet) < at + 2:
        return packet
    body = packet[layout.transport:]
    source, destination = layout.ends(packet)
    pseudo = source + destination + (struct.pack("!IHBB", len(body), 0, 0, 6) if layout.v6 else struct.pack("!BBH", 0, 6, len(body)))
    if int.from_bytes(packet[at:at + 2], "big") != 0xffff ^ checksum(pseudo):
        return packet
    return packet[:at] + struct.pack("!H", checksum(pseudo + body[:16] + b"\0\0" + body[18:])) + packet[at + 2:]


class Control(TranslatedFlow):
    """Client and server, each with sequence numbers of its own: what it hears may have been counted otherwise by who sent it."""

    def __init__(self, random, run, number, v6):
        super().__init__(random, run, number, v6)
        self.protocol = "tcp"
        self.near = (self.near[0], [20000 + (run * 40 + 2 * number) % 40000, random.choice([21, 21, 21, 2121])])
        self.next = [random.choice([1000, 2**32 - 40, random.getrandbits(32)]) for _ in range(2)]  # by who speaks: the server is 1
        self.heard = [0, 0]
        self.spoken = []
        self.offers = []  # what one of them has read: (that is the server, address, port)

    def own(self, server):
        address = self.addresses(server)[0]
        return str(ipaddress.ip_address(address))

    def packet(self, number):
        random = self.random
        if self.far is None or not self.spoken:
            return self.segment_of(number, False, 2, self.next[False] - 1, b"")
        if len(self.spoken) < 3 and random.random() < .9:
            return self.segment_of(number, len(self.spoken) == 1, 0x12 if len(self.spoken) == 1 else 0x10, self.next[len(self.spoken) == 1] - (len(self.spoken) == 1), b"")
        draw = random.random()
        server = random.random() < .5
        if draw < .12:
            server, flags, seq, text = random.choice(self.spoken[-4:])  # once more
            return self.segment_of(number, server, flags, seq, text)
        if draw < .15:
            return self.segment_of(number, server, random.choice([4, 0x11]) if random.random() < .1 else 0x10, self.next[server], b"")
        text = self.text(server)
        seq = self.next[server]
        if draw < .19:
            seq += random.choice([5, -3, 100])  # what lies between is lost
        if draw > .96:
            text = text[:random.randrange(1, len(text) + 1)]
        return self.segment_of(number, server, 0x18, seq, text)

    def text(self, server):
        random = self.random
        own = self.own(server)
        if random.random() < .15:
            own = random.choice([self.own(not server), *STRANGER])
        port = random.choice([random.randrange(1024, 65536), self.near[1][0], self.near[1][0] + 1])  # none that another one announces
        numbers = f"{own.replace('.', ',')},{port >> 8},{port & 255}" if ":" not in own else f"10,42,0,77,{port >> 8},{port & 255}"
        family = 2 if ":" in own else 1
        if server:
            lines = ["200 done\r\n", "150 here\r\n226 done\r\n", f"227 Entering Passive Mode ({numbers}).\r\n", f"227 Entering Passive Mode ({numbers}).\r\n", f"227 go to {numbers}\r\n", f"229 Extended (|||{port}|)\r\n",
                     f"229 Extended (|||{port}|)\r\n", f"229 (!!!{port}!)\r\n", f"229 |||{port}|\r\n", f"227 ({numbers})", "200 not yet ", f"200 and\r\n227 ({numbers})\r\n", "227 none\r\n", f"PORT {numbers}\r\n"]
        else:
            lines = ["NOOP\r\n", "LIST\r\n", f"PORT {numbers}\r\n", f"PORT {numbers}\r\n", f"port {numbers}\r\n", f"EPRT |{family}|{own}|{port}|\r\n", f"EPRT |{family}|{own}|{port}|\r\n", f"EPRT +{family}+{own}+{port}+\r\n",
                     f"PORT {numbers}", f"PORT  {numbers}\r\n", "LIST ", f"NOOP\r\nPORT {numbers}\r\n", f"EPRT |{3 - family}|{own}|{port}|\r\n", f"227 ({numbers})\r\n", f"EPRT |{family}|{own}|{port}\r\n"]
        return random.choice(lines).encode()

    def segment_of(self, number, server, flags, seq, text):
        random = self.random
        ack = self.heard[server] if flags & 0x10 else 0
        options = b""
        if flags & 2:
            options = random.choice([b"\2\4\5\xb4", b"\4\2\1\1", b"\2\4\5\xb4\4\2\1\1"])
        elif random.random() < .2:
            edges = [(ack + random.choice([1, 20, 60])) % 2**32 for _ in range(2)]
            # None at an odd byte: the kernel writes it anew with a wrong checksum (docs/filter.md).
            options = random.choice([b"\1\1\5\x0a" + struct.pack("!II", *edges), b"\5\x0a" + struct.pack("!II", *edges) + b"\1\1", b"\1\1\x08\x0a" + bytes(8)])
        head = struct.pack("!HHIIBBHHH", *self.ports_of(server), seq % 2**32, ack % 2**32, 5 + len(options) // 4 << 4, flags, 60000, 0, 0)
        self.asked = (server, flags, seq % 2**32, text)
        return server, self.ip(number, 6, self.summed(6, head + options + text, server), server)

    def came(self, server, sent, packet):
        """The other end has got it, as it came there."""
        super().came(server, sent, packet)
        asked_server, flags, seq, text = self.asked
        self.spoken.append(self.asked)
        end = (seq + len(text) + bool(flags & 2) + bool(flags & 1)) % 2**32
        if (end - self.next[server]) % 2**32 < 2**31:
            self.next[server] = end
        tcp = packet[self.layout.transport:]
        came = tcp[(tcp[12] >> 4) * 4:]
        heard = (int.from_bytes(tcp[4:8], "big") + len(came) + bool(flags & 2) + bool(flags & 1)) % 2**32
        if not self.heard[not server] or (heard - self.heard[not server]) % 2**32 < 2**31:
            self.heard[not server] = heard
        self.read(not server, came.decode("latin-1"))

    def read(self, server, text):
        """Where this end would connect to."""
        if found := re.search(r"(\d+),(\d+),(\d+),(\d+),(\d+),(\d+)", text):
            parts = [int(part) & 255 for part in found.groups()]
            self.offers.append((server, bytes(parts[:4]), parts[4] << 8 | parts[5]))
        elif found := re.search(r"[|+]([12])[|+]([0-9a-f.:]+)[|+](\d+)", text):
            self.offers.append((server, ipaddress.ip_address(found.group(2)).packed, int(found.group(3))))
        elif found := re.search(r"[|!]{3}(\d+)", text):
            self.offers.append((server, self.addresses(server)[1], int(found.group(1))))

    def data(self, run, number):
        """A connection that was announced last, or nearly so."""
        random = self.random
        server, address, port = random.choice(self.offers[-2:])
        source = self.addresses(server)[0]
        if len(address) != len(source) or (address in [packed(each, self.v6) for each in OURS]) == self.leaves(server):
            return None  # of the other family, or it would loop, or is for somebody else
        flow = TranslatedFlow(random, run, number, self.v6)
        flow.protocol, flow.begins_here = "tcp", self.leaves(server)
        draw = random.random()
        if draw < .08:
            port = (port + 1) & 0xffff
        elif draw < .14 and not flow.begins_here:
            source = packed(f"10.42.{run % 250}.251", self.v6)
        flow.near = ([source, address], [flow.near[1][0], port])
        return flow


def converse(random, run, count, host):
    """(packets, what became of each)."""
    controls = [Control(random, run, i, host.layout.v6) for i in range(max(1, count // 80))]
    flows, packets, fates = [], [], []
    for number in range(1, count + 1):
        flow = random.choice(controls)
        if random.random() < .35:
            if flow.offers and (not flows or random.random() < .5):
                begun = flow.data(run, 100 + number)
                if begun is not None and len(flows) < 100:
                    flows.append(begun)
            if flows:
                flow = random.choice(flows[-4:])
        reply, packet = flow.packet(number)
        fate = host.send(packet, flow.leaves(reply))
        if fate is not None:
            fate = finished(host.layout, fate)
            flow.came(reply, packet, fate)
        packets.append(packet)
        fates.append(fate)
    return packets, fates
