"""Options that option_values.py may find to be different from plain Linux, by level and number, with the reason. Kernels differ too: what one of them has and another
has not stands here as well."""

REASONS = {
    "SOL_SOCKET": {
        (7, 8): "SO_SNDBUF, SO_RCVBUF: the limits are Debian's net.core.rmem_max and wmem_max, whatever the host has",
        (16, 34, 76, 83, 84): "SO_PASSCRED, SO_PASSSEC, SO_PASSPIDFD, SO_PASSRIGHTS, SO_INQ are of Unix sockets",
        (25, 62): "SO_BINDTODEVICE, SO_BINDTOIFINDEX: to the loopback nobody can be bound, nor to an interface that is not there",
        (26, 27, 44, 48, 50, 51, 52, 68): "SO_ATTACH_FILTER and its relatives: no programs of the program's run in its stack",
        (28, 31, 59, 77): "SO_PEERNAME, SO_PEERSEC, SO_PEERGROUPS, SO_PEERPIDFD",
        (37, 54, 63, 64, 65): "SO_TIMESTAMPING, and SO_TIMESTAMP of 32-bit programs",
        (41, 43, 53, 55, 56, 70, 71, 78, 79, 80, 81): "SO_WIFI_STATUS, SO_NOFCS, SO_CNX_ADVICE, SO_MEMINFO, SO_INCOMING_NAPI_ID and more of the kernel's devices and books",
        (42,): "SO_PEEK_OFF",
        (49,): "SO_INCOMING_CPU of a connection that nobody has set it of: -1, not the processor",
        (47, 60, 61): "SO_MAX_PACING_RATE, SO_ZEROCOPY, SO_TXTIME",
        (72, 73, 74, 75, 82): "SO_BUF_LOCK, SO_RESERVE_MEM, SO_TXREHASH, SO_RCVMARK, SO_RCVPRIORITY",
    },
    "IPPROTO_IP": {
        (4,): "IP_OPTIONS: none can be set",
        (9, 18): "IP_PKTOPTIONS, IP_PASSSEC",
        (10,): "IP_MTU_DISCOVER: wants an int, where on Linux a byte will do",
        (14,): "IP_MTU of a connection to itself: the network's, not the loopback's",
        (16, 17, 64): "IP_IPSEC_POLICY, IP_XFRM_POLICY and those of iptables, for who has privileges",
        (21, 23, 25, 26): "IP_MINTTL, IP_CHECKSUM, IP_RECVFRAGSIZE, IP_RECVERR_RFC4884",
        (32, *range(35, 49)): "IP_MULTICAST_IF, IP_ADD_MEMBERSHIP and its relatives: there are no groups",
        (24, 49): "IP_BIND_ADDRESS_NO_PORT, IP_MULTICAST_ALL: which numbers are on, and what an AF_INET6 socket begins with",
        (50, 51, 52): "IP_UNICAST_IF, IP_LOCAL_PORT_RANGE, IP_PROTOCOL",
    },
    "IPPROTO_TCP": {
        (2,): "TCP_MAXSEG of a connection to itself: as the windows allow",
        (10,): "TCP_WINDOW_CLAMP is not refused of a listener",
        (11,): "TCP_INFO: 232 bytes, newer kernels have more",
        (12,): "TCP_QUICKACK begins as 0",
        (13, 26): "TCP_CONGESTION, TCP_CC_INFO: there is cubic alone, and the host may begin with another",
        (14, 32, *range(38, 44)): "TCP_MD5SIG and TCP_AO",
        (16, 17): "TCP_THIN_LINEAR_TIMEOUTS, TCP_THIN_DUPACK",
        (20, 21, 22, 29): "TCP_REPAIR's relatives",
        (24, 27, 28, 35, 37, 44, 45, 46, 47, 48): "TCP_TIMESTAMP, TCP_SAVE_SYN, TCP_ZEROCOPY_RECEIVE, TCP_TX_DELAY, TCP_RTO_MAX_MS and newer ones",
        (30, 33, 34): "TCP_FASTOPEN_CONNECT, TCP_FASTOPEN_KEY, TCP_FASTOPEN_NO_COOKIE",
    },
    "IPPROTO_UDP": {
        (10, 11): "of UDP-Lite",
        (100, 101, 102, 103, 104): "UDP_ENCAP, UDP_NO_CHECK6_TX, UDP_NO_CHECK6_RX, UDP_SEGMENT, UDP_GRO",
    },
    "IPPROTO_IPV6": {
        tuple(set(range(1, 81)) - {16, 18, 19, 23, 25, 26, 29, 49, 51, 66, 67, 75, 78}): "IPv6 is not spoken",
    },
}
DIFFERENT = {level: {name for names in reasons for name in names} for level, reasons in REASONS.items()}
