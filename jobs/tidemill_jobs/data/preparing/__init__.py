"""Second stage: each landed segment is cleaned and measured once."""
