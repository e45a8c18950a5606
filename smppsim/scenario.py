"""A scenario: everything that a run of the simulator depends on besides its seed, as frozen data.

It reads no file (`scenario_files` does) and runs nothing. The simulator is made of one.
"""

from typing import Annotated

from pydantic import Field, model_validator

from smppsim.behaviour import Behaviour, Link
from smppsim.data import Data
from smppsim.faults import OnAccount
from smppsim.people import Person
from smppsim.rules import Rule
from smppsim.schedule import Planned
from smppsim.subscribers import PhoneSettings


class AccountSettings(Data):
    """One customer of the simulated operator."""

    system_id: Annotated[str, Field(pattern=r"^[\x21-\x7e]{1,15}$")]
    password: Annotated[str, Field(pattern=r"^[\x20-\x7e]{0,64}$", repr=False)] = ""
    numbers: tuple[str, ...] = ()
    """Patterns of the numbers whose replies come to this account; without a match, the account that wrote last."""
    distribution_lists: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """Numbers by the names that submit_multi may use for them."""
    behaviour: Behaviour = Behaviour()
    link: Link = Link()
    rules: tuple[Rule, ...] = ()
    """The first rule that matches a destination wins."""


class Bounds(Data):
    """What the simulator keeps; the oldest goes first."""

    messages: Annotated[int, Field(ge=1)] = 50_000
    handset_parts: Annotated[int, Field(ge=1)] = 50_000
    pdus: Annotated[int, Field(ge=0)] = 10_000
    undelivered: Annotated[int, Field(ge=1)] = 200_000
    """Messages and receipts on their way; above it submits get ESME_RMSGQFUL."""


class Scenario(Data):
    """Everything a run depends on besides its seed.

    What stands here of behaviour, link and rules holds for every account that does not say otherwise.
    """

    accounts: tuple[AccountSettings, ...] = (
        AccountSettings(system_id="demo", password="demo"),  # noqa: S106 - a toy on loopback
    )
    behaviour: Behaviour = Behaviour()
    link: Link = Link()
    rules: tuple[Rule, ...] = ()
    """Tried after the account's own."""
    people: tuple[Person, ...] = ()
    """Who holds the handsets; the first whose pattern matches."""
    phones: tuple[PhoneSettings, ...] = ()
    """Phones that are not on when the run begins; the first whose pattern matches."""
    schedule: tuple[Planned, ...] = ()
    """Faults by the clock of the run."""
    bounds: Bounds = Bounds()

    @model_validator(mode="after")
    def _distinct(self) -> "Scenario":
        names = [account.system_id for account in self.accounts]
        if len(set(names)) != len(names):
            raise ValueError("two accounts have the same system_id")
        return self

    def on(self, profile: "Scenario") -> "Scenario":
        """This scenario on top of a profile: of what both name this one's counts, and their lists add up."""
        return self.over(profile).changed(
            {
                "behaviour": self.behaviour.over(profile.behaviour),
                "link": self.link.over(profile.link),
                "rules": self.rules + profile.rules,
                "people": self.people + profile.people,
                "phones": self.phones + profile.phones,
                "schedule": self.schedule + profile.schedule,
            }
        )

    def complete(self) -> "Scenario":
        """This scenario, ready to be run; LookupError if its schedule names an account that it does not have."""
        known = {account.system_id for account in self.accounts}
        for planned in self.schedule:
            fault = planned.fault
            if isinstance(fault, OnAccount) and fault.account not in {None, *known}:
                raise LookupError(f"the schedule's {fault.kind} names the unknown account {fault.account}")
        return self

    def customers(self) -> tuple[AccountSettings, ...]:
        """The accounts with everything that holds for them."""
        return tuple(
            account.changed(
                {
                    "behaviour": account.behaviour.over(self.behaviour),
                    "link": account.link.over(self.link),
                    "rules": account.rules + self.rules,
                }
            )
            for account in self.accounts
        )
