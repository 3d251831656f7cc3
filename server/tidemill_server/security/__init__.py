"""Who may call what: credentials, scopes, rates, the audit trail and TLS."""
