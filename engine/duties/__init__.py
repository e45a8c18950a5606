"""Whatever happens because time passed: small looks at due rows, each decision a function of (row, now)."""
