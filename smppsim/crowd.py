"""Who holds each handset, and what they do when a message is complete on it: remembers, plans, sends.

What they do is decided in `people`, how a reply travels in `replies`. `submission` says when a part has
arrived; the simulator puts persons in place.
"""

from __future__ import annotations

import random
import re
from collections import Counter

from engine.smpp.errors import ProtocolError
from smppsim.agenda import Agenda
from smppsim.handsets import Handsets, InboxMessage, handset_key, number_pattern
from smppsim.people import Person, Utterance, reaction_to, utterances
from smppsim.replies import NoRoute, Replies, Reply
from smppsim.stats import Stats
from smppsim.subscribers import PhoneState, Subscribers


class _Memory:
    """What one handset has lived through."""

    __slots__ = ("heard", "played")

    def __init__(self) -> None:
        self.heard = 0
        self.played: Counter[int] = Counter()


class Crowd:
    """Every person, and the memory of the last `bound` handsets that heard something."""

    def __init__(
        self,
        agenda: Agenda,
        handsets: Handsets,
        subscribers: Subscribers,
        replies: Replies,
        stats: Stats,
        seed: int,
        bound: int,
    ) -> None:
        self._agenda = agenda
        self._handsets = handsets
        self._subscribers = subscribers
        self._replies = replies
        self._stats = stats
        self._seed = seed
        self._bound = bound
        self._by_number: dict[bytes, Person] = {}
        self._by_pattern: list[tuple[re.Pattern[bytes], Person]] = []
        self._memories: dict[bytes, _Memory] = {}

    def place(self, *people: Person) -> None:
        """Give the handsets that their patterns match to these persons, the first first, before all others."""
        self._by_pattern[:0] = [(number_pattern(person.number), person) for person in people]

    def assign(self, number: str, person: Person | None) -> None:
        """Give one handset to a person, who remembers nothing; None gives it back to whom its pattern says."""
        key = handset_key(number)
        self._memories.pop(key, None)
        if person is None:
            self._by_number.pop(key, None)
        else:
            self._by_number[key] = person

    def clear(self) -> None:
        """Nobody is there."""
        self._by_number.clear()
        self._by_pattern.clear()
        self._memories.clear()

    def person(self, number: str) -> Person | None:
        """Who holds a handset."""
        return self._person(handset_key(number))

    def _person(self, key: bytes) -> Person | None:
        own = self._by_number.get(key)
        if own is not None:
            return own
        return next((person for pattern, person in self._by_pattern if pattern.fullmatch(key)), None)

    def arrived(self, destination: bytes, now: float) -> None:
        """A part has reached the handset at a destination_addr."""
        if not self._by_number and not self._by_pattern:
            return
        key = destination.removeprefix(b"+")
        person = self._person(key)
        if person is None or not person.reactions:
            return
        message = self._handsets.completed(key)
        if message is not None:
            self._react(key, person, message, now)

    def _react(self, key: bytes, person: Person, message: InboxMessage, now: float) -> None:
        memory = self._remember(key)
        index = reaction_to(person, message, memory.played)
        if index is None:
            return
        memory.played[index] += 1
        number = key.decode("latin-1")
        # Dice of each handset's own, so that one person's mail does not change another one's luck.
        dice = random.Random(f"{self._seed}:{number}:{memory.heard}")  # noqa: S311 - reproducible by intent
        for said in utterances(person, person.reactions[index], message, number, dice):
            if said.wait > 0:
                self._agenda.at(now + said.wait, self._say, (number, said))
            else:
                self._say((number, said), now)

    def _remember(self, key: bytes) -> _Memory:
        memory = self._memories.pop(key, None) or _Memory()
        memory.heard += 1
        self._memories[key] = memory
        if len(self._memories) > self._bound:
            del self._memories[next(iter(self._memories))]
        return memory

    def _say(self, what: tuple[str, Utterance], now: float) -> None:
        number, said = what
        # A name is no number: nobody can answer an alphanumeric sender.
        answerable = handset_key(said.to).isdigit()
        if not answerable or self._subscribers.state(handset_key(number), now) is PhoneState.off:
            self._stats.replies_impossible += 1
            return
        reply = Reply(said.text, said.to, None, said.source, said.source_form, said.cut)
        try:
            self._replies.send(number, reply, now)
        except (NoRoute, ProtocolError):
            self._stats.replies_impossible += 1
