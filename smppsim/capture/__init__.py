"""Packet captures: what was on the wire as a pcap file that Wireshark dissects, and such files read back.

Sans-IO throughout. `recorder` writes, `conversations` reads; `control` and `cli` hand the octets on, `replay`
plays them.
"""
