"""Rulesets for the filter, drawn from a seed: every expression that is supported, in all families."""

from filter_packets import PORTS


DYNAMIC = ("seen", "ports", "slow", "last")  # sets that rules add to


class Rules:
    """One ruleset. `text` is what `nft -f` reads. `late`: there are chains at hook input too, not only at prerouting."""

    def __init__(self, random, late, rules=24):
        self.random = random
        self.late = late
        self.writes = not late and random.random() < .3
        self.tables = []
        for number in range(random.choice([1, 1, 2, 3])):
            self.tables.append(self.table(number, max(2, rules // (number + 1))))
        self.text = "\n".join(self.tables + [self.seal()] * self.writes) + "\n"

    def pick(self, *choices):
        choice = self.random.choice(choices)
        return choice() if callable(choice) else choice

    # --- values ---
    def port(self):
        return str(self.random.choice(PORTS))

    def ports(self):
        low, high = sorted(self.random.sample(PORTS, 2))
        return f"{low}-{high}"

    def v4(self):
        return f"10.9.{self.random.choice([0, 1, 2, 77])}.{self.random.randrange(2, 250)}"

    def v4_prefix(self):
        return self.random.choice(["10.9.0.0/24", "10.9.0.0/23", "10.0.0.0/8", "10.9.77.0/25", "10.9.1.128/25", "10.9.2.64/27", "0.0.0.0/0"])

    def v4_range(self):
        low, high = sorted(self.random.sample(range(2, 250), 2))
        return f"10.9.{self.random.choice([0, 1, 2, 77])}.{low}-10.9.77.{high}"

    def v6(self):
        return f"fd00:9::{self.random.choice(['', '1:0:0:', 'ff:0:0:'])}{self.random.randrange(2, 250):x}"

    def v6_prefix(self):
        return self.random.choice(["fd00:9::/64", "fd00:9::/32", "fd00:9:0:0:1::/80", "fd00:9:0:0:ff::/80", "::/0", "fd00:9::80/121"])

    def some(self, one, least=2, most=6):
        return "{ " + ", ".join(sorted({one() for _ in range(self.random.randrange(least, most))})) + " }"

    def apart(self, width, unit=1):
        """Ranges of numbers below 2**16 that do not touch."""
        points = sorted(self.random.sample(range(1, 65536 // unit), 2 * self.random.randrange(1, width)))
        return [f"{low * unit}-{high * unit}" for low, high in zip(points[::2], points[1::2]) if low < high]

    def compare(self):
        return self.random.choice(["", "!= ", "< ", "<= ", "> ", ">= "])

    # --- what a rule asks ---
    def v4_match(self):
        side = self.random.choice(["saddr", "saddr", "daddr"])
        return self.pick(
            lambda: f"ip {side} {self.pick('', '!= ')}{self.pick(self.v4, self.v4_prefix, self.v4_range)}",
            lambda: f"ip {side} {self.pick('', '!= ')}{self.some(self.v4)}",
            lambda: f"ip saddr {self.pick('', '!= ')}{{ 10.9.0.0/24, {self.v4().replace('10.9.0', '10.9.1')}, 10.9.77.3-10.9.77.90 }}",
            lambda: f"ip saddr & 0.0.0.255 {self.compare()}0.0.0.{self.random.randrange(256)}",
            lambda: f"ip ttl {self.compare()}{self.random.choice([1, 5, 64, 128])}",
            lambda: f"ip length {self.compare()}{self.random.choice([28, 40, 44, 60, 100])}",
            lambda: f"ip protocol {self.pick('', '!= ')}{self.pick('tcp', 'udp', 'icmp', '{ tcp, udp }', '{ 47, 50-132 }')}",
            lambda: f"ip dscp {self.pick('', '!= ')}{self.pick('cs0', 'ef', 'af11', '{ cs0, ef }')}",
            lambda: f"ip hdrlength {self.compare()}{self.random.choice([5, 6, 7])}",
            lambda: f"ip frag-off & 0x1fff {self.pick('', '!= ')}0",
            lambda: f"ip id {self.pick('', '!= ')}{self.random.randrange(500)}-{self.random.randrange(500, 2000)}",
            lambda: f"@nh,{self.random.randrange(160)},{self.random.choice([8, 16, 32])} {self.compare()}{self.random.randrange(200)}",
            "ip version 4", "ip ecn ce")

    def v6_match(self):
        return self.pick(
            lambda: f"ip6 saddr {self.pick('', '!= ')}{self.pick(self.v6, self.v6_prefix)}",
            lambda: f"ip6 saddr {self.pick('', '!= ')}{self.some(self.v6)}",
            lambda: "ip6 saddr { fd00:9::2-fd00:9::55, fd00:9:0:0:1::/80 }",
            lambda: f"ip6 nexthdr {self.pick('', '!= ')}{self.pick('tcp', 'udp', 'ipv6-icmp', '{ tcp, udp, 44 }')}",
            lambda: f"ip6 hoplimit {self.compare()}{self.random.choice([1, 64, 255])}",
            lambda: f"ip6 length {self.compare()}{self.random.choice([8, 20, 40, 60])}",
            lambda: f"ip6 dscp {self.pick('', '!= ')}{self.pick('cs0', 'ef', 'af11')}",
            lambda: f"ip6 flowlabel {self.compare()}{self.random.randrange(2000)}",
            lambda: f"exthdr {self.pick('hbh', 'frag', 'rt', 'dst')} {self.pick('exists', 'missing')}",
            lambda: f"frag more-fragments {self.pick('0', '1')}", lambda: f"frag frag-off {self.compare()}{self.random.choice([0, 1, 2])}",
            lambda: f"frag nexthdr {self.pick('tcp', 'udp')}", "dst nexthdr tcp", "rt type 0", "hbh hdrlength 0", "rt nexthdr udp", "frag id 5-900")

    def tcp_match(self):
        return self.pick(
            lambda: f"tcp flags {self.pick('', '!= ')}{self.pick('syn', 'syn | ack', 'rst')}",
            lambda: f"tcp flags {self.pick('', '!= ')}{self.pick('syn', 'fin,rst', 'syn')} / {self.pick('syn,ack', 'fin,syn,rst,ack')}",
            lambda: f"tcp window {self.compare()}1000", lambda: f"tcp doff {self.compare()}{self.random.choice([5, 6, 8])}",
            lambda: f"tcp option maxseg size {self.compare()}{self.random.choice([536, 1000, 1460])}",
            lambda: f"tcp option {self.pick('sack-perm', 'timestamp', 'window', 'maxseg', '200')} {self.pick('exists', 'missing')}",
            lambda: f"tcp option timestamp tsval {self.compare()}{self.random.randrange(1 << 20)}", "tcp option window count 2-9",
            lambda: f"tcp sequence {self.compare()}{self.random.getrandbits(32)}")

    def transport_match(self, l3, l4):
        if l4 == "icmp":
            return self.pick("icmp type echo-request", "icmp type { echo-request, 13 }", "icmp code 1", "icmp id 3-70")
        if l4 == "icmpv6":
            return self.pick("icmpv6 type echo-request", "icmpv6 type { 1, 129 }", "icmpv6 code 4")
        port = l4 + " " + self.random.choice(["sport", "dport", "dport"])
        if l4 == "th":
            port = f"meta l4proto {self.pick('tcp', 'udp', '{ tcp, udp }')} {port}"
        if l4 == "tcp" and self.random.random() < .4:
            return self.tcp_match()
        if l4 == "udp" and self.random.random() < .1:
            return f"udp length {self.compare()}{self.random.choice([8, 9, 20])}"
        return self.pick(
            lambda: f"{port} {self.compare()}{self.port()}", lambda: f"{port} {self.pick('', '!= ')}{self.ports()}",
            lambda: f"{port} {self.pick('', '!= ')}{self.some(self.port)}", lambda: f"{port} {{ {', '.join(self.apart(6))} }}",
            lambda: f"@th,{self.random.randrange(0, 64, 8)},{self.random.choice([8, 16, 32])} {self.compare()}{self.random.randrange(256)}",
            lambda: f"@th,0,16 . @th,16,16 {{ 22 . 80, {self.port()} . {self.port()} }}")

    def meta_match(self):
        return self.pick(
            lambda: f"meta l4proto {self.pick('', '!= ')}{self.pick('tcp', 'udp', '{ tcp, 132 }', '6-17')}",
            lambda: f"meta length {self.compare()}{self.random.choice([28, 40, 60, 100])}",
            lambda: f"meta mark {self.compare()}{self.random.choice([0, 1, 7, 0x10])}",
            lambda: f"meta mark & 0x{self.random.choice([1, 0xf, 0xf0]):x} {self.pick('', '!= ')}0x{self.random.choice([0, 1, 0x10]):x}",
            lambda: f"meta mark {{ 0, {', '.join(self.apart(3))} }}",
            lambda: f"iifname {self.pick('', '!= ')}{self.pick('eth0', 'lo', 'e*', '{ eth0, lo }', 'eth00')}",
            lambda: f"iif {self.pick('', '!= ')}{self.pick('eth0', 'lo', '{ lo, eth0 }')}", "oifname != eth0", "meta oif 0", "iiftype ether", "meta oiftype ether",
            lambda: f"meta pkttype {self.pick('', '!= ')}{self.pick('host', 'broadcast', '{ host, multicast }')}",
            lambda: f"meta protocol {self.pick('ip', 'ip6', '{ ip, ip6 }', '!= ip')}", lambda: f"ether type {self.pick('ip', 'ip6')}",
            lambda: f"ether saddr {self.pick('', '!= ')}02:5b:0a:09:00:0{self.pick('1', '2')}",
            lambda: f"@ll,{self.random.randrange(0, 136, 8)},16 {self.compare()}{self.random.randrange(65536)}")

    def concatenation(self, l3, l4):
        a, value, exact = {"ip": ("ip saddr", lambda: self.pick(self.v4, self.v4_prefix, self.v4_range), self.v4),
                           "ip6": ("ip6 saddr", lambda: self.pick(self.v6, self.v6_prefix), self.v6)}[l3]
        b = f"{l4} {self.pick('sport', 'dport')}"
        return self.pick(
            lambda: f"{a} . {b} {self.pick('', '!= ')}{self.some(lambda: f'{exact()} . {self.port()}')}",
            lambda: f"{a} . {b} {self.pick('', '!= ')}{{ {value()} . {self.pick(self.port, self.ports)} }}",
            lambda: f"{b} . meta mark {{ 22 . {self.pick('0-5', '1', '0')}, {self.pick('80', '443')} . 7-9 }}",
            lambda: f"{b} . meta length . {a} {{ {self.port()} . 30-80 . {value()} }}",
            lambda: f"meta l4proto . th dport {{ tcp . {self.port()}, udp . {self.ports()} }}")

    def match(self, family, l3, l4):
        kinds = [self.meta_match, *[self.v4_match if l3 == "ip" else self.v6_match] * 2]
        if l4:
            kinds += [lambda: self.transport_match(l3, l4)] * 3
        if l4 in ("tcp", "udp"):
            kinds.append(lambda: self.concatenation(l3, l4))
        if family == "inet":
            kinds.append(lambda: f"meta nfproto {self.pick('ipv4', 'ipv6', '!= ipv4')}")
        if l3 == "ip":
            kinds.append(lambda: f"ip saddr {self.pick('', '!= ')}@addresses")
        if l3 == "ip" and l4 in ("tcp", "udp"):
            kinds.append(lambda: f"ip saddr . {l4} dport {self.pick('', '!= ')}@boxes")
        return self.random.choice(kinds)()

    # --- what a rule does ---
    def change(self, l3, l4):
        """Adds to a set, or asks one that rules add to."""
        saddr = f"{l3} saddr"
        kinds = [f"add @seen {{ {saddr} }}", f"update @seen {{ {saddr} timeout 2h }}", f"{saddr} @seen", f"{saddr} != @seen", f"add @slow {{ {saddr} limit rate over 1/day burst 3 packets }}",
                 f"update @slow {{ {saddr} limit rate over 1/day burst 3 packets }}", f"delete @slow {{ {saddr} }}", f"update @last {{ {saddr} : meta mark }}",
                 f"meta mark set {saddr} map @last", f"{saddr} @slow"]
        if l4 in ("tcp", "udp"):
            kinds += [f"add @ports {{ {l4} dport counter }}", f"update @ports {{ {l4} sport counter }}", f"{l4} dport @ports", f"delete @ports {{ {l4} dport }}"]
        return self.random.choice(kinds)

    def statement(self, family, l3, l4):
        if l3 == ("ip6" if family == "ip6" else "ip") and self.random.random() < .3:
            return self.change(l3, l4)
        kinds = ["counter", lambda: f"limit rate {self.pick('', 'over ')}{self.random.choice([1, 3])}/day burst {self.random.randrange(1, 20)} packets",
                 lambda: f"limit rate {self.pick('', 'over ')}1 bytes/day burst {self.random.randrange(1, 4000)} bytes",
                 lambda: f"quota {self.pick('', 'over ')}{self.random.randrange(1, 4000)} bytes", "counter name total", "quota name some", "limit name few",
                 lambda: f"meta mark set {self.random.randrange(20)}", "meta mark set meta mark | 0x10", "meta mark set meta mark xor 0x3",
                 "meta mark set meta mark & 0xf", "meta mark set meta mark lshift 3", "meta mark set meta mark rshift 1"]
        if l4 in ("tcp", "udp"):
            kinds += [lambda: f"counter name {l4} dport map @named",
                      lambda: f"meta mark set {l4} dport map {{ {', '.join(f'{r} : {i + 2}' for i, r in enumerate(self.apart(4)))} }}",
                      lambda: f"meta mark set {l4} sport map {{ {self.port()} : 1, * : 3 }}"]
        if self.writes and self.random.random() < .5:
            kinds = self.writing(l3, l4)
        elif self.random.random() < .1:
            kinds = self.numbers(l3, l4)
        return self.pick(*kinds)

    def numbers(self, l3, l4):
        """Numbers in turn, and hashes of which both sides know the seed. What is drawn is nobody's to say but where it lies."""
        mod = lambda: f"mod {self.random.choice([1, 2, 3, 7, 1 << 31])} offset {self.random.choice([0, 5, 1000])}"
        seed = lambda: f"mod {self.random.choice([2, 16, 4000000000])} seed 0x{self.random.getrandbits(32):x}"
        kinds = [lambda: f"meta mark set numgen inc {mod()}", lambda: f"numgen inc mod {self.random.choice([2, 3])} {self.compare()}1",
                 lambda: f"meta mark set numgen inc mod 4 map {{ 0 : 1, 1-2 : 5, 3 : {self.random.randrange(9)} }}",
                 lambda: f"numgen random mod 8 offset 10 {self.pick('10-17', '< 10', '> 17')}", lambda: f"symhash mod 8 offset 10 {self.pick('10-17', '< 10', '> 17')}",
                 lambda: f"meta mark set jhash {l3} saddr {seed()}", lambda: f"meta mark set jhash {l3} saddr . {l3} daddr {seed()} offset {self.random.choice([0, 9])}",
                 lambda: f"jhash {l3} saddr mod 4 seed 0x{self.random.getrandbits(32):x} {self.compare()}2", lambda: f"meta mark set jhash meta mark . meta length {seed()}"]
        if l4 in ("tcp", "udp"):
            kinds += [lambda: f"meta mark set jhash {l3} saddr . {l4} sport . {l4} dport {seed()}", lambda: f"meta mark set jhash {l4} dport {seed()}"]
        return kinds

    def writing(self, l3, l4):
        """What is written is seen by the rules behind, and by those of `seal`."""
        # Never identification, flow label or fragment offset.
        kinds = [f"@nh,{self.random.choice([64, 71, 72, 96, 100])},{self.random.choice([8, 5])} set {self.random.randrange(32)}"]
        if l3 == "ip":
            kinds += [lambda: f"ip dscp set {self.pick('cs0', 'ef', 'af11')}", lambda: f"ip ttl set {self.random.choice([1, 64, 255])}", lambda: f"ip ecn set {self.pick('ce', 'ect0')}",
                      lambda: f"ip saddr set {self.v4()}", lambda: f"ip daddr set {self.pick(self.v4, '10.9.0.1')}", lambda: f"ip protocol set {self.random.choice([6, 17, 47])}"]
        else:
            kinds += [lambda: f"ip6 dscp set {self.pick('cs0', 'ef', 'af11')}", lambda: f"ip6 hoplimit set {self.random.choice([1, 64, 255])}", lambda: f"ip6 saddr set {self.v6()}",
                      lambda: f"ip6 daddr set {self.v6()}"]
        if l4 in ("tcp", "udp"):
            kinds += [lambda: f"{l4} {self.pick('sport', 'dport')} set {self.port()}"] * 3
        if l4 == "tcp":
            kinds += [lambda: f"tcp flags set {self.pick('syn', 'ack', 'rst')}", lambda: f"tcp window set {self.random.choice([0, 1000, 65535])}",
                      lambda: f"tcp sequence set {self.random.getrandbits(32)}"]
        if l4 == "udp":
            kinds += [lambda: f"udp checksum set {self.random.choice([0, 0xffff])}", lambda: f"udp length set {self.random.choice([0, 8, 20])}"]
        if l4 == "icmp":
            kinds += ["icmp code set 1", lambda: f"icmp id set {self.random.randrange(100)}"]
        if l4 == "icmpv6":
            kinds += ["icmpv6 code set 1", lambda: f"icmpv6 id set {self.random.randrange(100)}"]
        return kinds

    @staticmethod
    def seal():
        """Behind all others: the mark says what has become of the bytes of the headers."""
        known = "mod 4294967295 seed 0x7"
        rules = [f"meta nfproto ipv4 meta mark set jhash @nh,0,128 . @nh,128,32 {known}", f"meta nfproto ipv6 meta mark set jhash @nh,0,128 . @nh,128,128 . @nh,256,64 {known}"]
        rules += [f"meta mark set jhash meta mark . @th,{place},{bits} {known}" for place, bits in ((0, 16), (16, 16), (32, 32), (64, 32), (96, 32), (128, 32))]
        return "\n".join(["table inet seal {", "  chain sealed {", "    type filter hook prerouting priority 900000", *(f"    {rule}" for rule in rules), "  }", "}"])

    def verdict(self, family, l4, later, base):
        verdicts = ["accept", "drop", "accept", "return", "continue", ""]
        if later:
            verdicts += [f"jump {self.random.choice(later)}", f"goto {self.random.choice(later)}"] * 3
            verdicts += [f"meta mark vmap {{ 0 : continue, 1-6 : return, * : jump {self.random.choice(later)} }}"]
            if l4 in ("tcp", "udp"):
                verdicts += [f"{l4} dport vmap {{ 80 : jump {self.random.choice(later)}, 1000-2000 : drop, 3000-65535 : goto {self.random.choice(later)} }}"]
        if base and l4 in ("tcp", "udp"):
            verdicts += [f"{l4} dport vmap @decided", f"{l4} sport vmap @decided"]
        if later and not l4:
            verdicts.append(f"meta l4proto vmap {{ tcp : jump {self.random.choice(later)}, udp : continue, 58 : accept, 47 : drop }}")
        verdicts += {"inet": ["reject", "reject with icmpx admin-prohibited"], "ip": ["reject", "reject with icmp host-unreachable"],
                     "ip6": ["reject with icmpv6 admin-prohibited"]}[family]
        if l4 == "tcp":
            verdicts.append("reject with tcp reset")
        return self.random.choice(verdicts)

    def boxes(self):
        """Now and then some that lie over each other, so that both refuse the set, or the wider one stands behind."""
        networks = self.random.sample(["10.9.0.0/24", "10.9.1.0/25", "10.9.1.128/25", "10.9.2.0/24", "10.9.77.0-10.9.77.90", "10.9.77.91-10.9.77.250"], self.random.randrange(1, 5))
        boxes = [f"{network} . {self.random.choice(self.apart(3) + [self.port()])}" for network in networks]
        if self.random.random() < .3:
            boxes.insert(self.random.randrange(len(boxes) + 1), f"{self.v4()} . {self.pick(self.port, self.ports)}")
        return ", ".join(boxes)

    def changing(self, address):
        # What rules delete counts against a set's size until the kernel's collector comes, so the one they delete from never fills.
        return [f"set seen {{ type {address}; flags dynamic,timeout; timeout 1h; size {self.random.choice([7, 500])}; }}",
                f"set slow {{ type {address}; flags dynamic; size 65535; }}", f"map last {{ type {address} : mark; flags dynamic; size {self.random.choice([9, 500])}; }}",
                "set ports { type inet_service; flags dynamic; size 500; }"]

    def rule(self, family, later, base):
        l3 = self.random.choice(["ip", "ip6"]) if family == "inet" else family
        l4 = self.random.choice(["tcp", "tcp", "udp", "th", "icmp" if l3 == "ip" else "icmpv6", None])
        parts = [self.match(family, l3, l4) for _ in range(self.random.choice([0, 1, 1, 1, 2, 2, 3]))]
        statements = ["counter"] + [self.statement(family, l3, l4) for _ in range(self.random.choice([0, 0, 1, 2]))]
        verdict = self.verdict(family, l4, later, base)
        if not parts and verdict not in ("", "continue") and not verdict.startswith("jump"):
            verdict = ""  # nothing behind it would be seen
        return " ".join(parts + statements + [verdict]).strip()

    def table(self, number, rules):
        random = self.random
        family = random.choice(["inet", "inet", "ip", "ip6"])
        later = [f"sub{i}" for i in range(random.randrange(4))]
        lines = [f"table {family} t{number} {{", "  counter total { }", f"  quota some {{ {self.pick('', 'over ')}{random.randrange(1, 9000)} bytes }}",
                 f"  limit few {{ rate 1/day burst {random.randrange(1, 30)} packets }}", "  counter odd { }",
                 "  set addresses { type ipv4_addr; flags interval; counter; elements = { 10.9.0.0/25, 10.9.1.7, 10.9.77.0-10.9.77.200 } }",
                 f"  set boxes {{ type ipv4_addr . inet_service; flags interval; elements = {{ {self.boxes()} }} }}",
                 f"  map named {{ type inet_service : counter; elements = {{ 80 : \"total\", 22 : \"odd\" }} }}",
                 *(f"  {line}" for line in self.changing("ipv6_addr" if family == "ip6" else "ipv4_addr")),
                 f"  map decided {{ type inet_service : verdict; flags interval; counter; elements = {{ 1-30 : accept, 31-60 : drop, 8080 : "
                 f"{'jump ' + later[0] if later else 'return'}, * : continue }} }}"]
        for i, chain in reversed(list(enumerate(later))):
            lines.append(f"  chain {chain} {{")
            lines += [f"    {self.rule(family, later[i + 1:], False)}" for _ in range(random.randrange(1, rules // 2 + 1))]
            lines.append("  }")
        hooks = ["prerouting", "input"] if self.late else ["prerouting"]
        for i in range(random.choice([1, 1, 2])):
            hook = random.choice(hooks)
            lines.append(f"  chain base{i} {{")
            lines.append(f"    type filter hook {hook} priority {random.choice([-10, 0, 0, 5])}; policy {random.choice(['accept', 'accept', 'drop'])};")
            lines += [f"    {self.rule(family, later, True)}" for _ in range(random.randrange(1, rules))]
            lines.append("  }")
        return "\n".join(lines + ["}"])
