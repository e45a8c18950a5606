"""How leads are qualified, as data: questions, what answers, fields and events are worth, sequences of messages.

Pure. An application writes its own; `BANT` is the default, a published scorecard (verification-behaviours 1.6). What is
out of range raises `ModelError`, which names the setting and never a value.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, Final, Self

from workflows.wording import LANGUAGES, problem_with

AXES: Final = ("budget", "authority", "need", "timeline")
FIT: Final = "fit"
INTENT: Final = "intent"
SILENCE: Final = "silence"
DORMANT: Final = "dormant"
OURS: Final = frozenset({SILENCE, DORMANT})
"""Triggers that are no events: the end of the questions or one unanswered, and a time in which nothing was heard."""
MOST: Final[Mapping[str, int]] = {**dict.fromkeys(AXES, 5), FIT: 5, INTENT: 100}
_QUESTIONS_MOST: Final = 10
_RULES_MOST: Final = 100
_STEPS_MOST: Final = 10
_LETTERS: Final = "ABCDEFGH"
_DAY_S: Final = 86_400
_CONSENT_MOST: Final = 1_825


class ModelError(ValueError):
    """A model that cannot be; `setting` names what is wrong."""

    def __init__(self, setting: str) -> None:
        super().__init__(f"{setting} is out of range")
        self.setting = setting


class Kind(StrEnum):
    """What an answer is: a letter, a number, or any words."""

    CHOICE = "choice"
    NUMBER = "number"
    FREE = "free"


@dataclass(frozen=True, slots=True)
class Question:
    """One question by SMS, in each language; `points` by letter, by the least number, or by a word of the answer.

    `else_points` is what an answer is worth that no row of `points` speaks of.
    """

    id: str
    axis: str
    kind: Kind
    text: Mapping[str, str]
    points: Mapping[str, int]
    else_points: int = 1

    @classmethod
    def load(cls, given: Mapping[str, Any], at: str) -> Self:
        """Return a question; raises `ModelError`."""
        try:
            made = cls(**{**given, "kind": Kind(given["kind"])})
            sound = made.axis in (*AXES, FIT) and 1 <= len(made.points) <= len(_LETTERS) and _is_name(made.id)
            sound = sound and all(0 <= worth <= MOST[made.axis] for worth in (*made.points.values(), made.else_points))
            sound = sound and all(made.accepts_key(key) for key in made.points)
        except (TypeError, ValueError, KeyError, AttributeError):
            sound = False
        if not sound:
            raise ModelError(at)
        _check_texts(made.text, "question", f"{at}.text")
        return made

    def accepts_key(self, key: str) -> bool:
        """Tell whether a row of `points` has the form that this kind of answer has."""
        if self.kind is Kind.CHOICE:
            return key in _LETTERS and len(key) == 1
        return key.isdecimal() if self.kind is Kind.NUMBER else bool(key.strip())


@dataclass(frozen=True, slots=True)
class Rule:
    """What something is worth: a field of the form that has `value` (empty: any), or an event from outside."""

    name: str
    axis: str
    points: int
    value: str = ""


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a sequence, so long after the one before, in each language."""

    after_s: int
    text: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Sequence:
    """Messages that follow one another, from a trigger on: an event's name, `silence` after the questions and while one
    of them waits for its answer, or `dormant` once nothing was heard for so long as `Dormancy` says.
    """

    name: str
    trigger: str
    messages: tuple[Message, ...]


@dataclass(frozen=True, slots=True)
class Dormancy:
    """After how many days without a sign of life a lead is called back, how often at most, and for how many days after
    the last one its consent is good; three years are what the CNIL allows for.
    """

    after_days: int
    most: int = 1
    consent_days: int = 1_095

    @classmethod
    def load(cls, given: Any) -> Self:
        """Return it; raises `ModelError`."""
        try:
            made = cls(**given)
            sound = all(type(one) is int for one in (made.after_days, made.most, made.consent_days))
            sound = (
                sound and 1 <= made.after_days < made.consent_days <= _CONSENT_MOST and 1 <= made.most <= _STEPS_MOST
            )
        except TypeError:
            sound = False
        if not sound:
            raise ModelError("dormancy")
        return made


@dataclass(frozen=True, slots=True)
class Model:
    """How one use qualifies its leads. Weights multiply axes and fit; intent halves every `half_life_s`; a lead is
    silent once a question has had no answer for `silence_s`.
    """

    name: str
    questions: tuple[Question, ...] = ()
    fields: tuple[Rule, ...] = ()
    events: tuple[Rule, ...] = ()
    sequences: tuple[Sequence, ...] = ()
    weights: Mapping[str, float] = field(default_factory=lambda: dict.fromkeys((*AXES, FIT), 1.0))
    half_life_s: int = 7 * _DAY_S
    brand: str = "Sceau"
    sender: str = ""
    dormancy: Dormancy | None = None
    silence_s: int = _DAY_S

    def question(self, question_id: str) -> Question | None:
        """Return a question, or None if the model has none of this id any more."""
        return next((one for one in self.questions if one.id == question_id), None)

    def sequence(self, name: str) -> Sequence | None:
        """Return a sequence, or None."""
        return next((one for one in self.sequences if one.name == name), None)

    def triggered(self, trigger: str) -> Sequence | None:
        """Return the sequence that something triggers, or None."""
        return next((one for one in self.sequences if one.trigger == trigger), None)

    def dump(self) -> dict[str, Any]:
        """Return the model as a JSON object, without its name."""
        return {
            "questions": [
                {
                    "id": one.id, "axis": one.axis, "kind": one.kind, "text": dict(one.text),
                    "points": dict(one.points), "else_points": one.else_points,
                }
                for one in self.questions
            ],
            "fields": [_dump_rule(one) for one in self.fields],
            "events": [_dump_rule(one) for one in self.events],
            "sequences": [
                {
                    "name": one.name,
                    "trigger": one.trigger,
                    "messages": [{"after_s": each.after_s, "text": dict(each.text)} for each in one.messages],
                }
                for one in self.sequences
            ],
            "weights": dict(self.weights),
            "half_life_s": self.half_life_s,
            "brand": self.brand,
            "sender": self.sender,
            "dormancy": None if self.dormancy is None else asdict(self.dormancy),
            "silence_s": self.silence_s,
        }  # fmt: skip

    @classmethod
    def load(cls, name: str, given: Mapping[str, Any]) -> Self:
        """Return the model of a JSON object; what is left out has its default. Raises `ModelError`."""
        if stray := given.keys() - _SETTINGS:
            raise ModelError(min(stray))
        questions = [Question.load(one, f"questions[{at}]") for at, one in enumerate(_list(given, "questions"))]
        if len(questions) > _QUESTIONS_MOST or len({one.id for one in questions}) != len(questions):
            raise ModelError("questions")
        weights = {**dict.fromkeys((*AXES, FIT), 1.0), **given.get("weights", {})}
        if weights.keys() != {*AXES, FIT} or not all(_is_weight(one) for one in weights.values()):
            raise ModelError("weights")
        if not any(weights[axis] for axis in AXES):
            raise ModelError("weights")
        half_life_s, brand = given.get("half_life_s", 7 * _DAY_S), given.get("brand", "Sceau")
        if type(half_life_s) is not int or not 3_600 <= half_life_s <= 365 * _DAY_S:
            raise ModelError("half_life_s")
        silence_s = given.get("silence_s", _DAY_S)
        if type(silence_s) is not int or not 60 <= silence_s <= 365 * _DAY_S:
            raise ModelError("silence_s")
        if problem_with("brand", brand):
            raise ModelError("brand")
        sequences = [_sequence(one, f"sequences[{at}]") for at, one in enumerate(_list(given, "sequences"))]
        dormancy = None if given.get("dormancy") is None else Dormancy.load(given["dormancy"])
        if (dormancy is not None) != any(one.trigger == DORMANT for one in sequences):
            raise ModelError("dormancy")  # one without the other would do nothing, without a word
        return cls(
            name,
            tuple(questions),
            tuple(_rule(one, f"fields[{at}]") for at, one in enumerate(_list(given, "fields"))),
            tuple(_rule(one, f"events[{at}]") for at, one in enumerate(_list(given, "events"))),
            tuple(sequences),
            weights,
            half_life_s,
            brand,
            str(given.get("sender") or ""),
            dormancy,
            silence_s,
        )


_SETTINGS: Final = frozenset(
    {
        "questions",
        "fields",
        "events",
        "sequences",
        "weights",
        "half_life_s",
        "brand",
        "sender",
        "dormancy",
        "silence_s",
    }
)


def _list(given: Mapping[str, Any], name: str) -> list[Any]:
    found = given.get(name, [])
    if not isinstance(found, list) or len(found) > _RULES_MOST or not all(isinstance(one, dict) for one in found):
        raise ModelError(name)
    return found


def _rule(given: Mapping[str, Any], at: str) -> Rule:
    try:
        made = Rule(**given)
        most = MOST[made.axis]
        sound = _is_name(made.name) and type(made.points) is int and -most <= made.points <= most
        sound = sound and isinstance(made.value, str)
    except (TypeError, KeyError):
        sound = False
    if not sound:
        raise ModelError(at)
    return made


def _dump_rule(rule: Rule) -> dict[str, Any]:
    return {"name": rule.name, "axis": rule.axis, "points": rule.points, "value": rule.value}


def _sequence(given: Mapping[str, Any], at: str) -> Sequence:
    messages = _list(given, "messages")
    if given.keys() != {"name", "trigger", "messages"} or not (_is_name(given["name"]) and _is_name(given["trigger"])):
        raise ModelError(at)
    if not 1 <= len(messages) <= _STEPS_MOST:
        raise ModelError(f"{at}.messages")
    for one in messages:
        after_s = one.get("after_s")
        if one.keys() != {"after_s", "text"} or type(after_s) is not int or not 60 <= after_s <= 365 * _DAY_S:
            raise ModelError(f"{at}.messages")
        _check_texts(one["text"], "notice", f"{at}.messages.text")
    return Sequence(given["name"], given["trigger"], tuple(Message(one["after_s"], one["text"]) for one in messages))


def _check_texts(text: Any, value: str, at: str) -> None:
    if not isinstance(text, Mapping) or not text or set(text) - set(LANGUAGES):
        raise ModelError(at)
    if any(problem_with(value, one) for one in text.values()):
        raise ModelError(at)


def _is_name(name: object) -> bool:
    return isinstance(name, str) and 1 <= len(name) <= 64 and name.replace("_", "").replace("-", "").isalnum()


def _is_weight(weight: object) -> bool:
    return isinstance(weight, int | float) and not isinstance(weight, bool) and 0 <= weight <= 10


def _choice(axis: str, **text: str) -> Question:
    return Question(axis, axis, Kind.CHOICE, text, {"A": 1, "B": 3, "C": 5})


BANT: Final = Model(
    "bant",
    questions=(
        _choice(
            "budget",
            fr="Un budget est-il prévu ? Répondez A non, B à définir, C oui",
            en="Is there a budget? Answer A no, B to be defined, C yes",
            de="Gibt es ein Budget? Antworten Sie A nein, B noch offen, C ja",
            es="Hay un presupuesto? Responda A no, B por definir, C si",
            it="E previsto un budget? Risponda A no, B da definire, C si",
        ),
        _choice(
            "authority",
            fr="Qui décide ? Répondez A quelqu'un d'autre, B nous à plusieurs, C moi",
            en="Who decides? Answer A somebody else, B several of us, C I do",
            de="Wer entscheidet? Antworten Sie A jemand anders, B mehrere von uns, C ich",
            es="Quien decide? Responda A otra persona, B varios, C yo",
            it="Chi decide? Risponda A un'altra persona, B in più di uno, C io",
        ),
        _choice(
            "need",
            fr="Quel est le besoin ? Répondez A je me renseigne, B utile, C indispensable",
            en="How strong is the need? Answer A just looking, B useful, C essential",
            de="Wie groß ist der Bedarf? Antworten Sie A nur Interesse, B nützlich, C unverzichtbar",
            es="Como es la necesidad? Responda A solo miro, B util, C imprescindible",
            it="Quanto serve? Risponda A mi informo, B utile, C indispensabile",
        ),
        _choice(
            "timeline",
            fr="Pour quand ? Répondez A plus tard, B dans le trimestre, C ce mois-ci",
            en="By when? Answer A later, B this quarter, C this month",
            de="Bis wann? Antworten Sie A später, B dieses Quartal, C diesen Monat",
            es="Para cuando? Responda A luego, B este trimestre, C este mes",
            it="Per quando? Risponda A più avanti, B questo trimestre, C questo mese",
        ),
    ),
    events=(
        Rule("visit", INTENT, 5),
        Rule("download", INTENT, 15),
        Rule("demo_request", INTENT, 40),
        Rule("call", INTENT, 30),
    ),
)
"""The default: four axes asked one after the other, and what the usual events say of intent."""
