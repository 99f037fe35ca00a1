"""Which addresses and hosts may be called from here."""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_address

_REFUSED_V4 = tuple(
    IPv4Network(network)
    for network in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # shared by carriers (CGNAT)
        "127.0.0.0/8",  # loopback
        "169.254.0.0/16",  # link-local; cloud metadata
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocol assignments
        "192.0.2.0/24",  # documentation
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",  # private
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved; broadcast
    )
)

_GLOBAL_V6 = IPv6Network("2000::/3")
"""All of today's global unicast.

Outside of it: ::, ::1, mapped ::ffff:0:0/96, NAT64 64:ff9b::/96, private fc00::/7, link-local fe80::/10,
multicast ff00::/8.
"""

_REFUSED_V6 = tuple(
    IPv6Network(network)
    for network in (
        "2001::/23",  # protocol assignments, with Teredo in 2001::/32
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4
        "3fff::/20",  # documentation
    )
)

_TEMPLATE_NAME = re.compile(r"\{[A-Za-z][A-Za-z0-9_]*\}")


def is_public(address: str) -> bool:
    """Whether an IP address belongs to the public Internet (IANA special-purpose registries, RFC 6890).

    Addresses that carry an IPv4 address in an IPv6 one (mapped, NAT64, 6to4, Teredo) never do. ValueError when the
    text is no IP address.
    """
    parsed = ip_address(address)
    if isinstance(parsed, IPv4Address):
        return not any(parsed in network for network in _REFUSED_V4)
    return parsed in _GLOBAL_V6 and not any(parsed in network for network in _REFUSED_V6)


def looks_like_address(host: str) -> bool:
    """Whether a host is meant as an IP address; many forms that are none (127.1, 2130706433) still connect."""
    return ":" in host or host.replace(".", "").isdigit()


def is_address(host: str) -> bool:
    """Whether a host is an IP address in its usual form."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def host_fits(host: str, declared: Iterable[str]) -> bool:
    """Whether a host is one of the declared ones; `{name}` in them stands for letters, digits and hyphens, no dot."""
    return any(_host_pattern(one).fullmatch(host) for one in declared)


def _host_pattern(declared: str) -> re.Pattern[str]:
    fixed = (re.escape(part) for part in _TEMPLATE_NAME.split(declared))
    return re.compile("[A-Za-z0-9-]+".join(fixed), re.IGNORECASE | re.ASCII)
