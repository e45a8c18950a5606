"""Tests against foreign programs, as far as they are installed: `make interop`."""
