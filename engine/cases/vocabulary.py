"""What the engine knows of the workflows' words: the tables of their events, and the loading of their templates.

`engine.events` and the composition root come here, since this package alone may call workflows.
"""

from workflows.handover_events import EVENTS as HANDOVER_EVENTS
from workflows.lead_telling import EVENTS as LEAD_EVENTS
from workflows.reverse_otp import EVENTS as REVERSE_EVENTS
from workflows.signature_events import EVENTS as SIGNATURE_EVENTS
from workflows.verify import EVENTS as VERIFICATION_EVENTS
from workflows.wording import Templates, load_templates

__all__ = [
    "HANDOVER_EVENTS",
    "LEAD_EVENTS",
    "REVERSE_EVENTS",
    "SIGNATURE_EVENTS",
    "VERIFICATION_EVENTS",
    "Templates",
    "load_templates",
]
