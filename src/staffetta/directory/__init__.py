"""Brands, plans, domains, people, credentials and entitlements."""
