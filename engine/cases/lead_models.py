"""Models of leads: those that the settings file defines, an application's own, and `bant`, by name.

Store functions for the API's routes and for leads. What the file defines stands: an application's own of the same name
waits behind it until it goes from the file.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from engine.cases import lead_rows
from engine.settings_leads import LeadModelSettings
from engine.store.transaction import Tx
from workflows.lead_model import BANT, Model

EVERY_APPLICATION: Final = "*"


class Defined(NamedTuple):
    """A model, and who defined it: `settings`, `application`, or `built_in`."""

    model: Model
    by: str


class LeadModels:
    """The models of every application."""

    def __init__(self, given: tuple[LeadModelSettings, ...] = ()) -> None:
        self._of_file: Mapping[tuple[str, str], Model] = {
            (one.application, one.name): Model.load(one.name, one.given()) for one in given
        }

    def of(self, tx: Tx, application_id: str, name: str) -> Defined | None:
        """Return a model that an application has, or None."""
        fixed = self.of_file(application_id, name)
        if fixed is not None:
            return Defined(fixed, "settings")
        own = lead_rows.model_of(tx, application_id, name)
        if own is not None:
            return Defined(own, "application")
        return Defined(BANT, "built_in") if name == BANT.name else None

    def of_file(self, application_id: str, name: str) -> Model | None:
        """Return the model that the settings give an application under a name, its own before everybody's."""
        return self._of_file.get((application_id, name)) or self._of_file.get((EVERY_APPLICATION, name))

    def page(self, tx: Tx, application_id: str) -> list[Defined]:
        """Return an application's models by name, those of everybody among them."""
        found = {BANT.name: Defined(BANT, "built_in")}
        found |= {one.name: Defined(one, "application") for one in lead_rows.models(tx, application_id)}
        for owner in (EVERY_APPLICATION, application_id):
            found |= {name: Defined(one, "settings") for (of, name), one in self._of_file.items() if of == owner}
        return [found[name] for name in sorted(found)]

    def put(self, tx: Tx, application_id: str, name: str, given: Mapping[str, Any], now: int) -> Model:
        """Store an application's own model, new or in place of an earlier one; raises `ModelError`."""
        return lead_rows.put_model(tx, application_id, name, given, now)

    def calling_back(self, tx: Tx) -> frozenset[str]:
        """Return the names of models, over all applications, that call dormant leads back."""
        own = lead_rows.every_model(tx)
        return frozenset(one.name for one in (*self._of_file.values(), *own) if one.dormancy is not None)
