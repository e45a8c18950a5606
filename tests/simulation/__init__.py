"""The whole engine and a simulated operator in one process, on virtual time, under seeded faults and crashes.

`plan` draws what shall happen, `world` lets it happen, `verdict` judges what the rows, the wire and the callers saw.
`python -m tests.simulation SEED` replays one seed.
"""
