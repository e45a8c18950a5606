"""The proofs: one module of tests a module of code, scenarios over the wire, and what both share."""
