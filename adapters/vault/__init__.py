"""Envelope encryption: a data key per subject, wrapped by a master key that the database never sees."""
