"""Has open leads watched by the model that they have now: timers of dormancy follow models that were written since.

A lead's own steps arm its timer, and `timers` fires it; this duty looks at the others. One pass begins at the start and
whenever a model was written, and goes on a slice at a time; where no model calls dormant leads back there is none.
"""

from dataclasses import dataclass, field
from typing import Final

from engine.cases import lead_rows
from engine.cases.leads import Leads
from engine.cases.outcomes import Wakes
from engine.duties.rounds import Done
from engine.store.transaction import Tx

_MOST: Final = 50


@dataclass(slots=True)
class DormancyWatch:
    """The duty; `models` are those whose leads this pass looks at, `after` the lead up to which it has."""

    leads: Leads
    stamp: tuple[int, int] = field(default=(-1, -1))
    models: frozenset[str] = frozenset()
    after: str = ""

    def look(self, tx: Tx, now: int) -> Done:
        """Look at one slice of open leads; that a timer is another one is the only thing that is written."""
        stamp = lead_rows.models_stamp(tx)
        models = self.leads.models.calling_back(tx) if stamp != self.stamp else self.models
        after = "" if stamp != self.stamp else self.after
        rows = lead_rows.open_after(tx, after, _MOST) if models else []
        wakes = Wakes()
        changed = sum(self.leads.watch(tx, one.id, one.due_at, now, wakes) for one in rows if one.model in models)
        # A store function may run twice: what is noted here must be the same then.
        tx.tell(lambda: self._note(stamp, models if len(rows) == _MOST else frozenset(), rows[-1].id if rows else ""))
        return Done(changed, queued=wakes.queued, bells=wakes.bells, on_air=wakes.on_air)

    def _note(self, stamp: tuple[int, int], models: frozenset[str], after: str) -> None:
        self.stamp, self.models, self.after = stamp, models, after
