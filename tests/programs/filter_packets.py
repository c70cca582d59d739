"""Packets for the filter, drawn from a seed: as a network has them, and as an attacker makes them."""

import struct

OUR_MAC, PEER_MAC = bytes.fromhex("025b0a090001"), bytes.fromhex("025b0a090002")
OUR_V4, OUR_V6 = bytes([10, 9, 0, 1]), bytes.fromhex("fd000009000000000000000000000001")
PORTS = [20, 22, 25, 53, 80, 81, 443, 1024, 1025, 8080, 33434, 65535]


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def v4_source(random):
    return bytes([10, 9, random.choice([0, 1, 2, 77]), random.randrange(2, 250)])


def v6_source(random):
    return bytes.fromhex("fd00000900000000") + bytes([0, random.choice([0, 1, 0xff])]) + bytes(4) + bytes([0, random.randrange(2, 250)])


def tcp_options(random):
    options = b""
    for _ in range(random.randrange(4)):
        options += random.choice([
            b"\1", struct.pack("!BBH", 2, 4, random.choice([536, 1000, 1460])), struct.pack("!BBB", 3, 3, random.randrange(15)),
            struct.pack("!BB", 4, 2), struct.pack("!BBII", 8, 10, random.randrange(1 << 20), 0)])
    return (options + bytes(-len(options) % 4))[:40]


def tcp(random, wild):
    options = tcp_options(random)
    if wild and options and random.random() < .3:
        at = random.randrange(len(options))
        options = options[:at] + bytes([random.randrange(256)]) + options[at + 1:]
    offset = 5 + len(options) // 4
    if wild and random.random() < .2:
        offset = random.randrange(16)
    header = struct.pack("!HHIIBBHHH", random.choice(PORTS), random.choice(PORTS), random.getrandbits(32), random.getrandbits(32),
                         offset << 4, random.choice([2, 16, 18, 17, 4, 20, 0, 255]), random.choice([0, 1000, 65535]), 0, 0)
    return 6, header + options


def udp(random, wild):
    length = random.randrange(65536) if wild and random.random() < .2 else 8 + random.choice([0, 1, 12])
    return 17, struct.pack("!HHHH", random.choice(PORTS), random.choice(PORTS), length, 0)


def icmp(random, v6):
    if v6:
        return 58, struct.pack("!BBHI", random.choice([128, 129, 1, 3]), random.choice([0, 1, 4]), 0, random.getrandbits(32))
    return 1, struct.pack("!BBHI", random.choice([0, 8, 13]), random.choice([0, 1, 4]), 0, random.getrandbits(32))


def transport(random, v6, wild):
    kind = random.randrange(10)
    if kind < 4:
        protocol, header = tcp(random, wild)
    elif kind < 7:
        protocol, header = udp(random, wild)
    elif kind < 9:
        protocol, header = icmp(random, v6)
    else:
        protocol, header = random.choice([132, 47, 50, 51, 136, 253] if not wild else [132, 47, 50, 51, 136, 253, 59, 60]), bytes(12)
    payload = bytes(random.randrange(256) for _ in range(random.choice([0, 1, 5, 40])))
    if wild and random.random() < .2:
        return protocol, (header + payload)[:random.randrange(len(header) + 1)]
    return protocol, header + payload


def v4(random, number, wild, later):
    protocol, body = transport(random, False, wild)
    options = b"\1" * 4 * random.choice([0, 0, 0, 1, 2, 10]) if wild else b""
    fragment = random.choice([0, 0, 0x4000, 0x2000] + [0x0001, 0x2010, 0x00b9] * later) if wild else random.choice([0, 0x4000])
    header = struct.pack("!BBHHHBBH4s4s", 0x45 + len(options) // 4, random.choice([0, 0x28, 0xb8, 1, 3]), 20 + len(options) + len(body), number,
                         fragment, random.choice([1, 5, 64, 128, 255]), protocol, 0, v4_source(random), OUR_V4) + options
    header = header[:10] + struct.pack("!H", checksum(header)) + header[12:]
    return 0x0800, header + body


def v6(random, number, wild, later):
    protocol, body = transport(random, True, wild)
    # From the inside out. What the kernel itself looks into before any hook (hop-by-hop) is well-formed.
    for kind in random.sample([60, 43, 44, 51], random.randrange(4)) if wild else []:
        if kind == 44:
            offset = random.choice([0, 0, 1] + [8, 0x10, 0x5a9] * later)
            body = struct.pack("!BBHI", protocol, 0, offset, number) + body
        elif kind == 51:
            body = struct.pack("!BBHIIQ", protocol, random.choice([4, 3, 4, 9]), 0, 0, 0, 0) + body
        else:
            length = random.choice([0, 0, 1, 3])
            body = struct.pack("!BB", protocol, length) + bytes([1, 6 + 0]) + bytes(4 + 8 * length) + body
        protocol = kind
    if wild and random.random() < .15:
        body = struct.pack("!BBBB", protocol, 0, 1, 4) + bytes(4) + body
        protocol = 0
    header = struct.pack("!IHBB16s16s", 6 << 28 | random.choice([0, 0x28, 0xb8]) << 20 | number, len(body), protocol, random.choice([1, 64, 255]),
                         v6_source(random), OUR_V6)
    return 0x86dd, header + body


def frame(random, number, wild, later):
    """Ethernet; `number` (16 bits) stands in the identification or the flow label, so that the packet is known again. `wild`: as nobody
    sends them; `later`: pieces of packets among them that are not the first."""
    kind, packet = random.choice([v4, v6])(random, number, wild, later)
    packet += bytes(random.choice([0, 0, 0, 3, 18]))  # padding behind the packet
    if wild and random.random() < .03:
        packet = packet[:random.randrange(len(packet))]
    return OUR_MAC + PEER_MAC + struct.pack("!H", kind) + packet


def pcap(frames):
    records = [struct.pack("=IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 65535, 1)]
    for each in frames:
        records.append(struct.pack("=IIII", 1000, 0, len(each), len(each)) + each)
    return b"".join(records)
