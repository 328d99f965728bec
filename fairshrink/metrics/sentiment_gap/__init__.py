"""The sentiment gap."""
