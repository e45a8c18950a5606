"""Models of leads in the settings file: the same data as `PUT /v1/lead-models/{name}` takes, checked by the same class.

Values only; `engine.cases.lead_models` puts them before those of applications.
"""

from typing import Any, Self

from pydantic import model_validator

from engine.settings_tree import NamedPart, Part


class DormancySettings(Part):
    """When leads of a model are called back; ranges are the model's to check."""

    after_days: int
    most: int = 1
    consent_days: int = 1_095


class LeadModelSettings(NamedPart):
    """One model, for one application or for all (`*`)."""

    application: str = "*"
    questions: tuple[dict[str, Any], ...] = ()
    fields: tuple[dict[str, Any], ...] = ()
    events: tuple[dict[str, Any], ...] = ()
    sequences: tuple[dict[str, Any], ...] = ()
    weights: dict[str, float] | None = None
    half_life_s: int | None = None
    brand: str | None = None
    sender: str | None = None
    dormancy: DormancySettings | None = None
    silence_s: int | None = None

    @model_validator(mode="after")
    def _can_be(self) -> Self:
        # Not at the top: a command must load before it can say that a foreign `workflows` shadows ours.
        from engine.cases.vocabulary import ModelError, check_lead_model

        try:
            check_lead_model(self.name, self.given())
        except ModelError as error:
            raise ValueError(str(error)) from None
        return self

    def given(self) -> dict[str, Any]:
        """Return the model as the API takes it."""
        given = self.model_dump(exclude={"name", "application"}, exclude_none=True)
        return {key: list(value) if isinstance(value, tuple) else value for key, value in given.items()}
