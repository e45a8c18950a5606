"""The SMPP language: PDUs, states, text, receipts and one client session, without database, settings or HTTP.

The engine speaks through it; the simulator borrows `pdu`, `text`, `states` and `errors` alone.
"""
