"""References of long messages: per destination, never twice at once."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from engine.smpp.text import NoFreeReference, References
from engine.smpp.text import references as module


def test_300_long_messages_to_one_number_have_300_references() -> None:
    """E19: 16-bit references of live messages never clash."""
    references = References()
    taken = [references.take(("account", "+33612345601")) for _ in range(300)]
    assert len(set(taken)) == 300
    assert references.unfinished() == 300


def test_a_released_8_bit_reference_comes_back_last() -> None:
    """E19: the whole circle is walked before a number is used again."""
    references = References(start=250)
    first = references.take("a", 8)
    assert first == 250
    references.release("a", first, 8)
    following = []
    for _ in range(256):
        following.append(references.take("a", 8))
        references.release("a", following[-1], 8)
    assert following == [*range(251, 256), *range(251)]
    assert references.unfinished() == 0


def test_when_all_are_in_use_nothing_is_reused() -> None:
    """E19: a 257th unfinished message waits."""
    references = References()
    taken = {references.take("a", 8) for _ in range(256)}
    assert taken == set(range(256))
    with pytest.raises(NoFreeReference):
        references.take("a", 8)
    assert references.take("b", 8) == 0
    assert references.take("a", 16) == 0
    references.release("a", 77, 8)
    assert references.take("a", 8) == 77


def test_references_of_an_earlier_run_are_held() -> None:
    references = References()
    references.hold("a", 0)
    references.hold("a", 1)
    assert references.take("a") == 2
    references.release("a", 9)
    references.release("nobody", 9)


def test_forgotten_counters_do_not_free_what_is_live(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REMEMBERED", 2)
    references = References()
    live = references.take("a")
    for key in "bcdefgh":
        references.release(key, references.take(key))
    assert references.take("a") != live
    assert len(references._last) <= 2


class Counters(RuleBasedStateMachine):
    """Taking and releasing at random: what is live is unique per destination and width."""

    def __init__(self) -> None:
        super().__init__()
        self.references = References(start=254)
        self.live: set[tuple[str, int, int]] = set()

    @rule(key=st.sampled_from("ab"), width=st.sampled_from([8, 16]))
    def take(self, key: str, width: int) -> None:
        reference = self.references.take(key, width)
        assert 0 <= reference < 1 << width
        assert (key, width, reference) not in self.live
        self.live.add((key, width, reference))

    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        if self.live:
            key, width, reference = data.draw(st.sampled_from(sorted(self.live)))
            self.live.discard((key, width, reference))
            self.references.release(key, reference, width)
        assert self.references.unfinished() == len(self.live)


TestCounters = Counters.TestCase
