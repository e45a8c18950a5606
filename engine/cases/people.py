"""Who a person of a case is: names and numbers, which rows keep sealed and workflows never see."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from engine.cases.effects import Destination, kept
from engine.cases.outcomes import public
from engine.evidence.sealing import NewEntry
from engine.keyring import KeyRing
from workflows.base import Seal


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


def about_person(
    keyring: KeyRing, people: Mapping[str, Person], seal: Seal, declares: Mapping[str, Sequence[str]]
) -> NewEntry:
    """Return the entry of evidence that a step asks for, about the person whom it names, if it does; kinds of
    `declares` also hold these members of the person.
    """
    private = dict(seal.private)
    subject_fp = ""
    if seal.subject:
        person = people[seal.subject]
        subject_fp = keyring.fingerprint("phone", person.phone)
        private |= {member: getattr(person, member) for member in declares.get(seal.kind, ())}
    return NewEntry(seal.kind, public(seal.body), private, subject_fp, seal.stated)


def seal_people(keyring: KeyRing, case_id: str, people: Mapping[str, Person]) -> str:
    """Return the people of a case by their ids, sealed to the case."""
    return keyring.seal(kept({name: asdict(person) for name, person in people.items()}).encode(), case_id)


def open_people(keyring: KeyRing, case_id: str, sealed: str) -> dict[str, Person]:
    """Return what `seal_people` sealed."""
    return {name: Person(**one) for name, one in json.loads(keyring.unseal(sealed, case_id)).items()}
