"""The ports in process: for fast tests, and to hold the contracts against a second home."""
