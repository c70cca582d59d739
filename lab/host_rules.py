"""The nftables rules of an ordinary host: answers pass, and what its servers are asked. Where they cost, it is these that are measured."""

BLOCKED = f"""set blocked {{
type ipv4_addr; flags interval
elements = {{ {", ".join(f"198.51.{i}.0/25" for i in range(32))} }}
}}
"""  # belongs into the table


def incoming(*more_ports):
    """What stands in the chain behind its policy, which is to drop."""
    ports = ", ".join(str(port) for port in (22, 80, 443, *more_ports))
    return f"""iifname lo accept
ip saddr @blocked drop
ct state invalid drop
ct state established,related accept
icmp type echo-request limit rate 10/second accept
tcp dport {{ {ports} }} ct state new accept
udp dport 53 accept
"""
