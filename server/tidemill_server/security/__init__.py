"""Access control: credentials, scopes, rate limits, the audit trail and TLS."""
