"""For those who test an SMPP client: a simulated operator to hold, blocking or under trio.

The fixtures of `pytest_plugin` hand it out; without pytest, `Operator` is a context manager.
"""

from smppsim.testing.handset import HeldHandset
from smppsim.testing.operator import Operator
from smppsim.testing.submit import Submit
from smppsim.testing.watch import BoundSession, WaitFailed

__all__ = ["BoundSession", "HeldHandset", "Operator", "Submit", "WaitFailed"]
