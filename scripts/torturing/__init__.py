"""What the programs of scripts/torture share: a server to break, services to kill, developers who call, and a verdict."""
