"""Apps as data: what an app asks of a person who connects it."""
