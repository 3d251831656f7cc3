"""Attacks on a front by HTTP/2 frames that no library would send."""
