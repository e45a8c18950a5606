"""The conformance report on a client: a witness keeps what passes, a conductor stages situations, rules judge."""
