"""Alerts: `raising` records them, `sender` sends what the outbox holds to the `sinks`.

`retrainings` watches the retrainings, and `proof` tries each sink with a test alert.
"""
