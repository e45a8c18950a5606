"""Tests with real processes, sockets and clocks; nothing about time is asserted but generous deadlines."""
