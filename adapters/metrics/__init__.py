"""What the service measures of itself, and how /metrics tells it for all of its processes."""
