"""Loops that run beside the web application, one small file each."""
