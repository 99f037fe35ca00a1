"""A certificate for a provider that speaks TLS: a good one, or one that has expired."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
from pathlib import Path
from tempfile import TemporaryDirectory

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

_ADDRESS = ipaddress.IPv4Address("127.0.0.1")
_DAY = datetime.timedelta(days=1)


def loopback_tls(*hosts: str, expired: bool = False) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """The server's side, and a client's side that trusts it; for 127.0.0.1 and these host names."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "provider on loopback")])
    ends = datetime.datetime.now(datetime.UTC) + (-_DAY if expired else _DAY)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(ends - 3 * _DAY)
        .not_valid_after(ends)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(_ADDRESS), *(x509.DNSName(host) for host in hosts)]),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    with TemporaryDirectory() as folder:
        chain = Path(folder) / "chain.pem"
        chain.write_bytes(private + certificate)
        server.load_cert_chain(chain)
    return server, ssl.create_default_context(cadata=certificate.decode())
