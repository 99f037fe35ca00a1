"""Third-party apps: their manifests, and the one client that calls them."""
