"""Speaks with the providers of OAuth 2, OAuth 1.0a and two-step apps; their deviations are data in the manifests."""
