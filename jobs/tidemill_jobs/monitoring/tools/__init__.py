"""Monitoring tools of others: what Tidemill knows, in their form.

They are extras and decide nothing. One that is away or not installed fails its own job only.
"""
