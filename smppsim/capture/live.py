"""A capture file that grows while the simulator runs.

It listens to the PDU log and writes a few times a second; what each packet looks like is the recorder's. Started
by `smppsim serve --capture`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import BinaryIO, Final

import trio

from smppsim.capture.pcap import file_header
from smppsim.capture.recorder import Recorder
from smppsim.pdulog import Connection, LoggedPdu, PduLog

_EVERY_S: Final = 0.25


class CaptureFile:
    """Everything from now on, in one pcap file. `wall` gives UTC microseconds."""

    def __init__(self, log: PduLog, file: BinaryIO, wall: Callable[[], int]) -> None:
        self._recorder = Recorder()
        self._wall = wall
        self._fresh = [file_header()]
        self._file = file
        log.listen(self._said)
        log.watch(self._turned)

    def _said(self, row: LoggedPdu) -> None:
        self._fresh.append(self._recorder.said(row, self._wall()))

    def _turned(self, connection: Connection) -> None:
        turned = self._recorder.opened if connection.closed is None else self._recorder.closed
        self._fresh.append(turned(connection, self._wall()))

    def _flush(self) -> None:
        octets = b"".join(self._fresh)
        self._fresh.clear()
        self._file.write(octets)
        self._file.flush()

    async def run(self) -> None:
        """Write until cancelled, then what is left. OSError if that is impossible."""
        try:
            while True:
                self._flush()
                await trio.sleep(_EVERY_S)
        finally:
            self._flush()
