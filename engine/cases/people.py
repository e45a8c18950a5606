"""Who a person of a case is: names and numbers, which rows keep sealed and workflows never see."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from engine.cases.effects import Destination, kept
from engine.keyring import KeyRing


@dataclass(frozen=True, slots=True)
class Person:
    """Who somebody is, and where messages to them go."""

    phone: str
    name: str = ""
    email: str = ""
    country: str = ""
    network: str | None = None
    number_unverified: bool = False
    sender: str = ""

    @property
    def destination(self) -> Destination:
        """Return what routing needs besides the number."""
        return Destination(self.country, self.network, self.number_unverified, self.sender)


def seal_people(keyring: KeyRing, case_id: str, people: Mapping[str, Person]) -> str:
    """Return the people of a case by their ids, sealed to the case."""
    return keyring.seal(kept({name: asdict(person) for name, person in people.items()}).encode(), case_id)


def open_people(keyring: KeyRing, case_id: str, sealed: str) -> dict[str, Person]:
    """Return what `seal_people` sealed."""
    return {name: Person(**one) for name, one in json.loads(keyring.unseal(sealed, case_id)).items()}
