"""Whatever happens because time passed: one small loop a duty, its decision a function of (row, now)."""
