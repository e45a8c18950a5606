"""What the engine knows of the workflows' words: the tables of their events, the loading of their templates, and
whether a model of leads can be.

`engine.events`, the settings and the composition root come here, since this package alone may call workflows.
"""

from collections.abc import Mapping
from typing import Any

from workflows.handover_events import EVENTS as HANDOVER_EVENTS
from workflows.lead_model import Model, ModelError
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
    "ModelError",
    "Templates",
    "check_lead_model",
    "load_templates",
]


def check_lead_model(name: str, given: Mapping[str, Any]) -> None:
    """Raise `ModelError`, which names the setting, for a model of leads that cannot be."""
    Model.load(name, given)
