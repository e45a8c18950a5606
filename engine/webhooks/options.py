"""What the operator may set about webhooks, frozen and handed down by the composition root.

It mirrors the section `[webhooks]` of the settings; it reads nothing itself.
"""

from dataclasses import dataclass
from typing import Final

RETRY_S: Final = (0, 5, 5 * 60, 30 * 60, 2 * 3600, 5 * 3600, 10 * 3600, 14 * 3600, 20 * 3600, 24 * 3600)


@dataclass(frozen=True, slots=True)
class WebhookOptions:
    """Deadlines, the retry table (S19), what an address may be (S18), and the sizes of batches.

    `retry_s[n]` is the pause before attempt n + 1; `ports` empty allows any port; `workers` caps the connections of one
    endpoint; `gather_s` is how long outcomes and batches wait for company; `look_s` how often rows heal lost bells.
    """

    timeout_s: float = 15.0
    connect_timeout_s: float = 5.0
    retry_s: tuple[int, ...] = RETRY_S
    jitter: float = 0.1
    ports: tuple[int, ...] = (443,)
    allow_http: bool = False
    allow_loopback: bool = False
    response_limit: int = 64 * 1024
    workers: int = 16
    batch_events: int = 100
    batch_octets: int = 256 * 1024
    gather_s: float = 0.02
    look_s: float = 30.0
    idle_s: float = 60.0
    rotation_s: int = 24 * 3600
