"""Every word a person reads by SMS: shipped templates, rendered strictly, and the rules for the values put into them.

`load_templates` reads them once for the composition root; nothing is read at import. Workflows check values here before
they start a case, `engine.cases` renders at the moment of sending: by path, or by the content hash a row has pinned.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from jinja2 import StrictUndefined, Template, TemplateError
from jinja2.meta import find_undeclared_variables
from jinja2.sandbox import ImmutableSandboxedEnvironment

LANGUAGES: Final = ("fr", "en", "de", "es", "it")
AUTOFILL_ROOM: Final = 33
"""Characters that a WebOTP host and an Android hash line (12 with its line end) may take together."""

_SUFFIX: Final = ".txt.j2"
_LONGEST_TEXT: Final = 1_600
_HASH_LINE: Final = 12
_SCHEME_OR_WWW: Final = re.compile(r"://|\bwww\b", re.IGNORECASE)
_DOMAIN: Final = re.compile(r"[^\W_](?:[\w-]*[^\W_])?\.[^\W\d_]{2,}")
_AMOUNT: Final = re.compile(r"(?:[A-Z]{3} ?|[€$£¥] ?)?[0-9](?:[0-9 .,']*[0-9])?(?: ?[A-Z]{3}| ?[€$£¥])?")
_HOST: Final = re.compile(r"(?=.{4,33}\Z)(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)+[a-z][a-z0-9-]*[a-z0-9]")
_ANDROID_HASH: Final = re.compile(r"[A-Za-z0-9+/]{11}")
_CODE: Final = re.compile(r"[0-9A-Z]{4,10}")
_GROUPED_CODE: Final = re.compile(r"[0-9A-Z]{4}(?:-[0-9A-Z]{2,4}){1,2}")
_REFERENCE: Final = re.compile(r"[A-Z][0-9]")
_SHORT_HASH: Final = re.compile(r"[0-9a-f]{8}")
_COUNT: Final = re.compile(r"[1-9][0-9]?")
_LINK: Final = re.compile(r"https://[A-Za-z0-9.-]+(?::[0-9]{1,5})?(?:/[A-Za-z0-9._~/?=&%+-]*)?")
_PAGE: Final = re.compile(r"https?://[A-Za-z0-9.-]+(?::[0-9]{1,5})?/[A-Za-z0-9/_-]*")  # one of ours
_STOP: Final = re.compile(r"[0-9+]{3,16}")
_SLOT: Final = re.compile(r"[0-9]{2}/[0-9]{2} [0-9]{2}:[0-9]{2}-(?:[0-9]{2}/[0-9]{2} )?[0-9]{2}:[0-9]{2}")
_ENDING: Final = re.compile(r"[0-9]{2}")
_LIFE: Final = re.compile(r"[0-9]{1,3} (?:min|s|h)")
_TWO_UNITS: Final = "€^{}\\[]~|"


class WordingError(Exception):
    """A template or a value that cannot be sent; its text names the template or the parameter, never a value."""


class ValueRule(NamedTuple):
    """What a value may be: its greatest length, and what it must look like (None: any one line of plain text)."""

    longest: int
    form: re.Pattern[str] | None = None
    optional: bool = False


VALUES: Final[Mapping[str, ValueRule]] = {
    "brand": ValueRule(16),
    "payee": ValueRule(20),
    "amount": ValueRule(14, _AMOUNT),
    "life": ValueRule(7, _LIFE),
    "code": ValueRule(10, _CODE),
    "reference": ValueRule(2, _REFERENCE, optional=True),
    "webotp_host": ValueRule(AUTOFILL_ROOM, _HOST, optional=True),
    "android_hash": ValueRule(11, _ANDROID_HASH, optional=True),
    "grouped_code": ValueRule(14, _GROUPED_CODE),
    "keyword": ValueRule(32, optional=True),
    "title": ValueRule(40),
    "short_hash": ValueRule(8, _SHORT_HASH),
    "consent": ValueRule(120),
    "count": ValueRule(2, _COUNT),
    "link": ValueRule(80, _LINK, optional=True),
    "question": ValueRule(300),
    "notice": ValueRule(300),
    "stop": ValueRule(20, _STOP, optional=True),
    "page": ValueRule(80, _PAGE, optional=True),
    "slot": ValueRule(23, _SLOT),
    "ending": ValueRule(2, _ENDING),
}
"""The lengths keep every shipped code message, at its longest, in one part of GSM-7 (tests/test_templates.py)."""

SWITCHES: Final = frozenset({"do_not_share", "reply"})


def tidy(value: str) -> str:
    """Return a value with the spaces and apostrophes that every handset has: `1 234,56 €` without its NBSPs."""
    spaced = "".join(" " if unicodedata.category(character) == "Zs" else character for character in value)
    return " ".join(word for word in spaced.split(" ") if word).replace("’", "'")


def problem_with(name: str, value: object) -> str | None:
    """Return why a value may not be put into a template, or None (S21).

    `unknown`, `not_text`, `empty`, `too_long`, `control_character`, `link`, `at_sign` or `form`.
    """
    if name in SWITCHES:
        return None if isinstance(value, bool) else "form"
    rule = VALUES.get(name)
    if rule is None:
        return "unknown"
    if not isinstance(value, str):
        return "not_text"
    if not value:
        return None if rule.optional else "empty"
    if len(value) + sum(value.count(character) for character in _TWO_UNITS) > rule.longest:
        return "too_long"
    if any(unicodedata.category(character) in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"} for character in value):
        return "control_character"
    if rule.form is not None:
        return None if rule.form.fullmatch(value) else "form"
    # An @ could begin a line that browsers read as `@host #code`.
    if "@" in value:
        return "at_sign"
    return "link" if _is_link(value) else None


def _is_link(value: str) -> bool:
    folded = unicodedata.normalize("NFKC", value).replace("。", ".")
    return bool(_SCHEME_OR_WWW.search(folded) or _DOMAIN.search(folded))


def fits_autofill_room(webotp_host: str, android_hash: str) -> bool:
    """Tell whether both lines leave a code message in one part."""
    return len(webotp_host) + (_HASH_LINE if android_hash else 0) <= AUTOFILL_ROOM


def language_of(tag: str | None, languages: tuple[str, ...]) -> str | None:
    """Return the language to write in: the first of `languages` if none is asked for, `fr` for `fr-CA`.

    None if it is not offered.
    """
    if tag is None:
        return languages[0]
    language = tag.replace("_", "-").partition("-")[0].lower()
    return language if language in languages else None


def life_text(seconds: int) -> str:
    """Return a life as its reader sees it, never longer than it is: `10 min`, `45 s`."""
    return f"{seconds // 60} min" if seconds >= 60 else f"{max(0, seconds)} s"


def template_path(workflow: str, step: str, language: str) -> str:
    """Return the path of a template within its folder, `verify/code.fr.txt.j2`."""
    return f"{workflow}/{step}.{language}{_SUFFIX}"


def content_hash(text: str) -> str:
    """Return the identity of a template's text: 32 hex digits of its SHA-256."""
    return hashlib.sha256(text.encode()).hexdigest()[:32]


class _Compiled(NamedTuple):
    template: Template
    needed: frozenset[str]


class Templates:
    """The shipped templates by path and by content hash, and the one strict sandbox that renders them.

    Templates see their parameters and nothing else: no filter, no global, no include.
    """

    def __init__(self, texts: Mapping[str, str]) -> None:
        self.texts: Final = dict(texts)
        self.by_hash: Final = {content_hash(text): text for text in self.texts.values()}
        self._sandbox = ImmutableSandboxedEnvironment(
            undefined=StrictUndefined,
            autoescape=False,  # an SMS is plain text
            keep_trailing_newline=False,
            newline_sequence="\n",
        )
        self._sandbox.globals.clear()
        self._sandbox.filters.clear()
        self._sandbox.tests.clear()
        self._compiled: dict[str, _Compiled] = {}
        for path, text in self.texts.items():
            self._compile(path, text)

    def paths(self) -> Iterator[str]:
        """Yield every template's path, sorted."""
        yield from sorted(self.texts)

    def hash_of(self, path: str) -> str:
        """Return the content hash that a row pins; raises `WordingError` for an unknown path."""
        return content_hash(self._text(path))

    def render(self, path: str, params: Mapping[str, Any]) -> str:
        """Return a template's text with its values; raises `WordingError`."""
        return self._render(path, self._text(path), params)

    def render_by_hash(self, pinned: str, params: Mapping[str, Any], texts: Mapping[str, str] | None = None) -> str:
        """Return the text of the template that a row pinned, from ours or from `texts` (hash → text) of earlier ones.

        Raises `WordingError`, also when a text does not have its hash.
        """
        text = self.by_hash.get(pinned)
        if text is None and texts is not None:
            text = texts.get(pinned)
        if text is None:
            raise WordingError(f"no template has the hash {pinned}")
        if content_hash(text) != pinned:
            raise WordingError(f"the text kept for template {pinned} is not the one that was pinned")
        return self._render(pinned, text, params)

    def _text(self, path: str) -> str:
        try:
            return self.texts[path]
        except KeyError:
            raise WordingError(f"no template {path}") from None

    def _compile(self, name: str, text: str) -> _Compiled:
        pinned = content_hash(text)
        if pinned not in self._compiled:
            try:
                parsed = self._sandbox.parse(text)
                needed = frozenset(find_undeclared_variables(parsed))
                self._compiled[pinned] = _Compiled(self._sandbox.from_string(parsed), needed)
            except TemplateError as error:
                raise WordingError(f"template {name} is malformed: {error}") from None
        return self._compiled[pinned]

    def _render(self, name: str, text: str, params: Mapping[str, Any]) -> str:
        for param, value in params.items():
            if problem := problem_with(param, value):
                raise WordingError(f"template {name}: {param} is not allowed: {problem}")
        compiled, needed = self._compile(name, text)
        if missing := sorted(needed - params.keys()):
            raise WordingError(f"template {name} needs {', '.join(missing)}")
        try:
            rendered = compiled.render(params)
        except (TemplateError, TypeError, ValueError, AttributeError, LookupError, ArithmeticError) as error:
            # The cause may quote a value: its kind is all that leaves this line.
            raise WordingError(f"template {name} does not render: {type(error).__name__}") from None
        if not rendered or len(rendered) > _LONGEST_TEXT:
            raise WordingError(f"template {name} renders to nothing, or to too much")
        return rendered


def load_templates(folder: Path | None = None) -> Templates:
    """Read the shipped SMS templates: of `folder`, else of the installed package, else of the checkout.

    Raises `WordingError` when there are none.
    """
    package = Path(__file__).resolve().parent
    places = [folder] if folder is not None else [package / "_templates" / "sms", package.parent / "templates" / "sms"]
    for place in places:
        texts = {
            path.relative_to(place).as_posix(): path.read_text(encoding="utf-8")
            for path in sorted(place.glob(f"*/*{_SUFFIX}"))
        }
        if texts:
            return Templates(texts)
    raise WordingError("no SMS templates are installed")
