"""How many submits with one receipt each the simulator takes on one core, over real TCP.

The simulator runs in a process of its own, PDU log on; this process blasts pre-encoded frames and answers the
receipts. `measure` returns the figures, the script prints them.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

from engine.smpp.pdu import BindTransceiver, FrameBuffer, SubmitSm, commands, encode, relative_validity

_HEADER = struct.Struct(">IIII")
_FIRST = 1000


class _Blaster:
    """A client with a window, as cheap as Python allows."""

    def __init__(self, port: int, password: str, window: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._frames = FrameBuffer()
        self._window = window
        self._socket.sendall(encode(BindTransceiver(b"bench", password.encode()), 1))
        assert self._socket.recv(4096)[8:12] == bytes(4)
        pdu = SubmitSm(
            source_addr_ton=3,
            source_addr=b"38200",
            dest_addr_ton=1,
            dest_addr_npi=1,
            destination_addr=b"33612345600",
            validity_period=relative_validity(300),
            registered_delivery=1,
            short_message=b"Your code is 123456. Do not share it with anybody.",
        )
        frame = encode(pdu, 0)
        at = frame.index(b"33612345600")
        # A hundred destinations: as many as the project's fictional range has.
        self._heads = frame[:12]
        self._bodies = [frame[16 : at + 9] + b"%02d" % n + frame[at + 11 :] for n in range(100)]

    def run(self, total: int) -> float:
        """Seconds for `total` submits, responses and receipts."""
        sent = answered = receipted = 0
        started = time.perf_counter()
        while receipted < total or answered < total:
            room = min(self._window - (sent - answered), total - sent)
            if room > 0:
                numbers = range(sent, sent + room)
                self._socket.sendall(
                    b"".join([self._heads + (_FIRST + n).to_bytes(4, "big") + self._bodies[n % 100] for n in numbers])
                )
                sent += room
            acknowledgements = []
            for frame in self._frames.feed(self._socket.recv(262_144)):
                _, command_id, status, sequence = _HEADER.unpack_from(frame)
                if command_id == commands.SUBMIT_SM_RESP:
                    assert status == 0
                    answered += 1
                elif command_id == commands.DELIVER_SM:
                    receipted += 1
                    acknowledgements.append(_HEADER.pack(17, commands.DELIVER_SM_RESP, 0, sequence) + b"\0")
            if acknowledgements:
                self._socket.sendall(b"".join(acknowledgements))
        return time.perf_counter() - started

    def close(self) -> None:
        self._socket.close()


def _cpu_seconds(pid: int) -> float:
    # The command name may hold spaces; what follows its bracket does not.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _rss_mb(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def measure(
    total: int = 100_000, window: int = 500, receipt_delay: float = 0.0, scenario: Path | None = None
) -> dict[str, float]:
    """Submits per second by the clock and per second of the simulator's CPU, and its memory in MB.

    A tenth of `total` goes before; `warm_rss_mb` is the memory then.
    """
    command = [sys.executable, "-m", "smppsim", "serve", "--json", "--port", "0", "--account", "bench"]
    command += ["--receipt-delay", str(receipt_delay), *([] if scenario is None else ["--scenario", str(scenario)])]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            at = json.loads(process.stdout.readline())
            blaster = _Blaster(at["port"], at["accounts"][0]["password"], window)
            blaster.run(total // 10)
            warm, before = _rss_mb(process.pid), _cpu_seconds(process.pid)
            seconds = blaster.run(total)
            cpu = _cpu_seconds(process.pid) - before
            blaster.close()
            return {
                "submits": total,
                "window": window,
                "submits_per_s": total / seconds,
                "submits_per_cpu_s": total / cpu,
                "warm_rss_mb": warm,
                "rss_mb": _rss_mb(process.pid),
            }
        finally:
            process.terminate()


def main() -> None:
    """Print the figures."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--total", type=int, default=100_000)
    options.add_argument("--window", type=int, default=500)
    options.add_argument("--receipt-delay", type=float, default=0.0)
    chosen = options.parse_args()
    for name, value in measure(chosen.total, chosen.window, chosen.receipt_delay).items():
        print(f"{name:20} {value:12,.0f}")


if __name__ == "__main__":
    main()
