"""The HTTP control API of a simulator, a module a theme; `app` puts it together.

It only calls the simulator and shows what it says; passwords are never shown. Served by `cli`, on loopback
unless told otherwise.
"""

from smppsim.control.app import control_app

__all__ = ["control_app"]
