"""Log lines: one event name and fields of an allow-list, numbers masked, controls escaped, exceptions without values.

No text of a message, code, password or token has a field at all, so none can be logged (S22). Every module takes its
logger here; until the composition root calls `configure`, lines go nowhere.
"""

import json
import logging
import re
import sys
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from enum import Enum
from pathlib import Path
from typing import Any, Final, Literal, TextIO

import structlog
from structlog.typing import EventDict, WrappedLogger

from engine.clock import Clock, to_rfc3339
from engine.errors import EngineError, NotAllowed, ProtocolError

Level = Literal["debug", "info", "warning", "error"]


class Kind(Enum):
    """How a field's value is made safe."""

    ID = 1  # shown as it is: our ids, an SMSC's, a host
    WORD = 2  # a word or sentence of ours; long runs of digits in it are masked
    PHONE = 3  # masked
    COUNT = 4  # a number or a flag; text is refused


_IDS: Final = (
    "account application_id batch_id bind case_id duty endpoint_id event_id event_type host id key_id kid listener "
    "message_id node part_id path pdu_id peer receipt_id reply_id request_id route run sender smsc_id subject_id "
    "url_host verification_id version"
)
_WORDS: Final = (
    "cause check class component country database direction environment error exception from hint kind lane "
    "language library message_class method mode note pdu phase profile reason result scope section signal state "
    "status_name task template to via where workflow"
)
_PHONES: Final = "destination phone recipient source"
_COUNTS: Final = (
    "after_s age_s attempt attempts busy connections count delay_s due duplicates duration_ms errors final hushed "
    "in_doubt in_s late_s limit line lost open orphans parked parts pid port queued rate rows sequence sessions "
    "size status total undecided unmatched wait_s waiting window"
)
FIELDS: Final[Mapping[str, Kind]] = {
    **dict.fromkeys(_IDS.split(), Kind.ID),
    **dict.fromkeys(_WORDS.split(), Kind.WORD),
    **dict.fromkeys(_PHONES.split(), Kind.PHONE),
    **dict.fromkeys(_COUNTS.split(), Kind.COUNT),
}

_LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40}
_LONGEST: Final = 200
_EVENT_NAME: Final = re.compile(r"[a-z][a-z0-9_]*(\.[a-z0-9_]+)*")
_NUMBER: Final = re.compile(r"\+?[0-9](?:[ .()/-]?[0-9]){6,}")
# Controls, line and paragraph separators, marks that turn the reading direction (E23), lone surrogates.
_UNSEEN: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)
_FRAMES: Final = 12
_KEYS_REMEMBERED: Final = 1_024


class _Stream:
    """Where finished lines go: nowhere until `configure`."""

    def __init__(self) -> None:
        self.out: TextIO | None = None
        self.least = _LEVELS["info"]
        self.strict = False
        self.as_json = True
        self.now: Callable[[], int] = lambda: 0

    def write(self, line: str) -> None:
        """Write one line, at once; where it cannot be written (a full disk) it is lost, and the work goes on."""
        if self.out is not None:
            with suppress(OSError):
                self.out.write(line + "\n")
                self.out.flush()

    debug = info = warning = error = write


_stream: Final = _Stream()


class Logger(structlog.BoundLoggerBase):
    """The four levels and named fields; `exc=error` shows an exception's kinds and places, not its values."""

    def debug(self, event: str, **fields: Any) -> None:
        """Log for those who look for a fault."""
        self._proxy_to_logger("debug", event, **fields)

    def info(self, event: str, **fields: Any) -> None:
        """Log what happened."""
        self._proxy_to_logger("info", event, **fields)

    def warning(self, event: str, **fields: Any) -> None:
        """Log what somebody should look at."""
        self._proxy_to_logger("warning", event, **fields)

    def error(self, event: str, **fields: Any) -> None:
        """Log what somebody must look at."""
        self._proxy_to_logger("error", event, **fields)


def logger(component: str) -> Logger:
    """Return a module's logger, for lines such as `log.info("part.accepted", message_id=…, account=…)`."""
    made = structlog.wrap_logger(
        _stream, processors=[_gate, _protect, _stamp, _render], wrapper_class=Logger, component=component
    )
    bound: Logger = made.bind()
    return bound


def configure(
    *,
    clock: Clock,
    style: Literal["auto", "console", "json"] = "auto",
    level: Level = "info",
    stream: TextIO | None = None,
    strict: bool = False,
) -> None:
    """Send lines to a stream (standard error); `strict` raises `NotAllowed` for a field outside the allow-list.

    Other libraries' warnings arrive as `library.logged` with the place that gave them, never with their text.
    """
    _stream.out = stream or sys.stderr
    _stream.least = _LEVELS[level]
    _stream.strict = strict
    _stream.as_json = style == "json" or (style == "auto" and not _stream.out.isatty())
    _stream.now = clock.now
    root = logging.getLogger()
    root.handlers = [_Libraries()]
    root.setLevel(logging.WARNING)


def silence() -> None:
    """Send lines nowhere again, as before `configure`."""
    _stream.out = None
    root = logging.getLogger()
    root.handlers = [handler for handler in root.handlers if not isinstance(handler, _Libraries)]


class OncePer:
    """Lets one line of a kind through in so many seconds and counts the others; see `once_per`."""

    __slots__ = ("_hushed", "_monotonic", "_seconds")

    def __init__(self, seconds: float, monotonic: Callable[[], float]) -> None:
        self._seconds = seconds
        self._monotonic = monotonic
        self._hushed: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def due(self, key: str = "") -> int | None:
        """Return how many were hushed since the last line about `key`, or None if this one is to be hushed too."""
        now = self._monotonic()
        last, hushed = self._hushed.get(key, (-self._seconds, 0))
        if now - last < self._seconds:
            self._hushed[key] = (last, hushed + 1)
            return None
        self._hushed[key] = (now, 0)
        self._hushed.move_to_end(key)
        if len(self._hushed) > _KEYS_REMEMBERED:
            self._hushed.popitem(last=False)
        return hushed


def once_per(seconds: float, monotonic: Callable[[], float]) -> OncePer:
    """Return a hush for a noisy event: `if (hushed := noisy.due(bind)) is not None: log.warning(…, hushed=hushed)`."""
    return OncePer(seconds, monotonic)


def masked_number(text: str) -> str:
    """Return an address with its middle hidden: `+336••••••78`; short ones and names keep their last two characters."""
    kept = 4 if text.startswith("+") else 0
    hidden = max(0, len(text) - kept - 2)
    return f"{text[:kept]}{'•' * hidden}{text[kept + hidden :]}" if hidden else "•" * len(text)


def escaped(text: str) -> str:
    """Return a text on one line, with nothing that a terminal or a reader would obey."""
    return _UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def described(error: BaseException) -> str:
    """Return an exception's kinds and places, without locals; only our own errors keep their (valueless) message.

    Causes follow after ` < `; the members of a group stand in brackets.
    """
    return " < ".join(_links(error, set()))


def _links(error: BaseException | None, seen: set[int]) -> Iterator[str]:
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        words = type(error).__name__
        if isinstance(error, EngineError | ProtocolError):
            words += f"({error})"
        elif isinstance(error, OSError) and error.strerror:
            words += f"({error.strerror})"
        if isinstance(error, BaseExceptionGroup):
            words += f"[{'; '.join(' < '.join(_links(one, seen)) for one in error.exceptions)}]"
        yield f"{words} at {_places(error)}" if error.__traceback__ else words
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _places(error: BaseException) -> str:
    frames = []
    at = error.__traceback__
    while at is not None:
        code = at.tb_frame.f_code
        file = Path(code.co_filename)
        frames.append(f"{file.parent.name}/{file.name}:{at.tb_lineno}")
        at = at.tb_next
    return " ".join(frames[-_FRAMES:])


def _gate(_logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    if _stream.out is None or _LEVELS[method] < _stream.least:
        raise structlog.DropEvent
    event["level"] = method
    return event


def _protect(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    name, level, error = event.pop("event"), event.pop("level"), event.pop("exc", None)
    safe: EventDict = {"level": level, "event": name if _EVENT_NAME.fullmatch(str(name)) else "event.misnamed"}
    refused = [] if safe["event"] == name else ["event"]
    for field, value in event.items():
        kind = FIELDS.get(field)
        if value is None:
            continue
        if kind is None or (kind is Kind.COUNT and not isinstance(value, bool | int | float)):
            refused.append(field if _EVENT_NAME.fullmatch(field) else "?")
        else:
            safe[field] = _shown(value, kind)
    if error is not None:
        safe["exception"] = _NUMBER.sub(_hide, escaped(described(error)))
    if refused:
        if _stream.strict:
            raise NotAllowed(f"log fields outside the allow-list: {', '.join(sorted(refused))}")
        safe["refused"] = sorted(refused)
    return safe


def _shown(value: object, kind: Kind) -> object:
    if kind is Kind.COUNT:
        return value
    text = escaped(str(value))
    if kind is Kind.PHONE or text.startswith("+"):
        return masked_number(text[:_LONGEST])
    if kind is Kind.WORD:
        text = _NUMBER.sub(_hide, text)
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"


def _hide(found: re.Match[str]) -> str:
    return masked_number(found[0])


def _stamp(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    return {"at": to_rfc3339(_stream.now()), **event}


def _render(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    if _stream.as_json:
        return json.dumps(event, ensure_ascii=False, separators=(",", ":"), default=str)
    rest = {name: value for name, value in event.items() if name not in {"at", "level", "event", "component"}}
    head = f"{event['at'][11:23]} {event['level']:<7} {event.get('component', '-'):<10} {event['event']}"
    return " ".join((head, *(f"{name}={value}" for name, value in rest.items())))


class _Libraries(logging.Handler):
    """Tells that a library logged a warning, and where; its text may hold anything, so it is left out."""

    def emit(self, record: logging.LogRecord) -> None:
        """Pass one record on."""
        level = "error" if record.levelno >= logging.ERROR else "warning"
        error = record.exc_info[1] if record.exc_info else None
        where = f"{Path(record.pathname).name} {record.funcName}"
        getattr(_library_log, level)("library.logged", library=record.name, where=where, line=record.lineno, exc=error)


_library_log: Final = logger("library")
