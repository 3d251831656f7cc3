"""Second stage: each landed segment is cleaned, hashed and signed once."""
