"""Replay of a capture: one side of what was captured is played again, against whoever speaks the other side now.

`script` reads a conversation from one side's view, `player` plays it sans-IO, `command` is `smppsim replay`.
"""
