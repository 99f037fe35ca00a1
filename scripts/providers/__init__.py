"""OAuth providers on loopback: real ones from npm and PyPI, a quick one in process, and trouble in front of each."""
