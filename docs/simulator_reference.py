"""The generated parts of docs/simulator.md: the control API, what behaviour and links are made of, dialects."""

import ast
import inspect
import json
from typing import Any, Final, get_args

from fastapi import FastAPI
from fastapi.routing import APIRoute
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from smppsim.behaviour import Behaviour, Drop, Link
from smppsim.control.app import add_routes
from smppsim.delays import DELAYS, Fixed
from smppsim.dialects import DIALECTS
from smppsim.faults import AnyFault, Fault, OnAccount, OnFrames, OnLinks
from smppsim.message_ids import IdForm, write_id
from smppsim.outcomes import Answer, Outcome, PartOutcome, Report
from smppsim.people import CHARACTERS, Choice, Line, Person, Reaction
from smppsim.receipt_text import FIELDS, ReceiptText
from smppsim.rules import Rule
from smppsim.scenario import AccountSettings, Bounds, Scenario
from smppsim.scenario_files import profiles
from smppsim.schedule import Planned
from smppsim.simulator import Simulator
from smppsim.subscribers import FAILURES, PhoneSettings

_AN_ID: Final = 123_456_789
_HIDDEN: Final = {"/openapi.json", "/docs", "/docs/oauth2-redirect", "/redoc"}

_HITS: Final = ((OnFrames, "PDUs"), (OnLinks, "links"), (OnAccount, "accounts"), (BaseModel, "everybody"))

# What the code leaves to the name of a field.
_MORE: Final = {
    "answers": "command_status of submit_sm_resp, one drawn by weight",
    "responses_lost": "share of submits, taken and never answered",
    "responses_doubled": "share of responses that come twice",
    "responses_late": "share that are late",
    "responses_late_by": "and by how much",
    "response_delay": "before the answer",
    "drop": "lose the link around a submit; see below",
    "outcomes": "what becomes of an accepted message, one drawn by weight",
    "receipt_delay": "from the answer to the receipt",
    "receipts": "whether registered_delivery is obeyed",
    "receipts_lost": "share of receipts that never leave",
    "receipts_doubled": "share that leave twice",
    "receipts_late": "share that are late",
    "receipts_late_by": "and by how much",
    "receipt_text": "a dialect's name or a template; see below",
    "receipt_tlvs": "receipted_message_id, message_state and network_error_code",
    "receipt_pdu": "what carries receipts",
    "id_form": "how the id is written in responses",
    "weight": "against the other possibilities",
    "state": "as `stat:` and message_state say it",
    "status": "command_status of submit_sm_resp",
    "outcome": "its end",
    "how": "close, reset, black_hole or stall",
    "share": "of the submits",
    "accounts": "who may bind",
    "bounds": "what is kept",
    "fault": "one of the faults above",
    "bind_status": "answer to binds",
    "bind_response": "whether binds are answered",
    "bind_delay": "before the answer to a bind",
    "max_binds": "sessions of the account",
    "bind_limit_status": "answer to the bind beyond `max_binds`",
    "session_init_s": "for a connection to bind",
    "enquire_link": "whether it is answered",
    "unbind": "whether it is answered",
    "window_status": "answer to the submit beyond `window`",
    "deliver_window": "deliver_sm of one session without an answer",
    "deliver_timeout_s": "for a deliver_sm_resp",
    "redeliver_times": "attempts after the first; then it is parked until a receiver binds anew",
    "system_id": "the client's name",
    "password": "of binds",
    "behaviour": "fields of Behaviour",
    "link": "fields of Link",
    "messages": "accepted messages",
    "handset_parts": "PDUs on handsets",
    "pdus": "entries of the PDU log",
    "name": "what the control API shows",
    "reactions": "tried in order",
    "one_of": "one is drawn by weight",
}


def control_block() -> str:
    """Return the control API."""
    app = FastAPI()
    add_routes(app, Simulator())
    lines = ["| call | body | what it does |", "|---|---|---|"]
    for route in app.routes:
        if isinstance(route, APIRoute) and route.path not in _HIDDEN:
            body = "–" if route.body_field is None else _fields(route.body_field.field_info.annotation)
            said = " ".join((route.endpoint.__doc__ or "").split()).replace("|", "\\|")
            lines.append(f"| `{min(route.methods or ())} {route.path}` | {body} | {said} |")
    return "\n".join(lines)


def _fields(model: Any) -> str:
    if model in (Fault, AnyFault):
        return "a fault"
    if model is bytes:
        return "a TOML text"
    assert issubclass(model, BaseModel)
    return ", ".join(f"`{name}`" for name in model.model_fields)


def faults_block() -> str:
    """Return every fault, whom it hits and what else it is told."""
    lines = ["| `kind` | hits | is told | what happens |", "|---|---|---|---|"]
    for fault in get_args(AnyFault):
        base, hits = next(row for row in _HITS if issubclass(fault, row[0]))
        own = {name: field for name, field in fault.model_fields.items() if name not in {"kind", *base.model_fields}}
        told = ", ".join(_told(name, field) for name, field in own.items())
        said = " ".join((fault.__doc__ or "").split())
        lines.append(f"| `{fault.model_fields['kind'].default}` | {hits} | {told} | {said} |")
    return "\n".join(lines)


def _told(name: str, field: FieldInfo) -> str:
    if field.is_required():
        return f"`{name}` (needed)"
    return f"`{name}`" if field.default is None else f"`{name}` = {_plain(field.default)}"


def behaviour_block() -> str:
    """Return the fields of a scenario and of everything in it but people and phones."""
    return _models(
        Behaviour, Answer, Outcome, Report, PartOutcome, Drop, Link, Rule, Planned, AccountSettings, Bounds, Scenario
    )


def people_block() -> str:
    """Return the fields of persons and phones, the forms of a number, the states of a phone and the characters."""
    characters = ["| `like` | the same as |", "|---|---|"]
    characters += [f"| `{name}` | `{json.dumps(alike, ensure_ascii=False)}` |" for name, alike in CHARACTERS.items()]
    failures = ["| state | messages | `err:` and network_error_code |", "|---|---|---|", "| `on` | arrive | |"]
    for state, failure in FAILURES.items():
        kind, number = failure.network_error
        failures.append(
            f"| `{state}` | {'wait' if failure.waits else 'fail at once'} | `{failure.err}`, {kind} and {number} |"
        )
    return "\n\n".join(
        [
            _models(Person, Reaction, Choice, Line, PhoneSettings),
            "### Characters",
            "\n".join(characters),
            "### States of a phone",
            "\n".join(failures),
        ]
    )


def _models(*models: type[BaseModel]) -> str:
    pieces = []
    for model in models:
        said = " ".join((model.__doc__ or "").split())
        lines = [
            f"### {model.__name__}",
            "",
            said,
            "",
            "| field | values | default | what it is |",
            "|---|---|---|---|",
        ]
        words, whole = _words(model), model.model_json_schema()
        for name, field in model.model_fields.items():
            default = (
                "**required**" if field.is_required() else f"`{_plain(field.get_default(call_default_factory=True))}`"
            )
            choices = ", ".join(f"`{one}`" for one in _choices(whole["properties"][name], whole))
            lines.append(f"| `{name}` | {choices} | {default} | {words.get(name) or _MORE.get(name, '')} |")
        pieces.append("\n".join([*lines, ""]))
    return "\n".join(pieces)


def _words(model: type[BaseModel]) -> dict[str, str]:
    """Return the string that stands below each field of a class, inherited ones included."""
    found: dict[str, str] = {}
    for base in reversed(model.__mro__):
        if not base.__module__.startswith("smppsim."):
            continue
        [tree] = ast.parse(inspect.getsource(base)).body
        assert isinstance(tree, ast.ClassDef)
        for before, after in zip(tree.body, tree.body[1:], strict=False):
            if isinstance(before, ast.AnnAssign) and isinstance(before.target, ast.Name):
                text = (
                    after.value.value if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant) else ""
                )
                found[before.target.id] = " ".join(str(text).split()).replace("|", "\\|")
    return found


def _choices(schema: dict[str, Any], whole: dict[str, Any]) -> list[str]:
    known = whole.get("$defs", {}).get(schema.get("$ref", "").rpartition("/")[2], {})
    return list(schema.get("enum") or known.get("enum", []))


def _plain(value: Any) -> str:
    if isinstance(value, tuple):
        return "[" + ", ".join(_plain(one) for one in value) + "]"
    if isinstance(value, Fixed):
        return f"{value.seconds:g} s"
    if isinstance(value, BaseModel):
        set_ones = {name: one for name, one in value.model_dump(mode="json").items() if one is not None}
        return json.dumps(set_ones) if len(set_ones) <= 4 else "{}"
    return json.dumps(value) if isinstance(value, bool | int | float | str) or value is None else str(value)


def profiles_block() -> str:
    """Return the profiles that are shipped."""
    rows = [f"| `{name}` | {about} |" for name, about in profiles().items()]
    return "\n".join(["| profile | what it rehearses |", "|---|---|", *rows])


def delays_block() -> str:
    """Return the kinds of delay."""
    lines = ["| `kind` | is told | what it is |", "|---|---|---|"]
    for delay in DELAYS:
        fields = {name: field for name, field in delay.model_fields.items() if name != "kind"}
        told = ", ".join(_told(name, field) for name, field in fields.items())
        lines.append(f"| `{delay.model_fields['kind'].default}` | {told} | {' '.join((delay.__doc__ or '').split())} |")
    return "\n".join(lines)


def ids_block() -> str:
    """Return the forms of a message id, each with an example."""
    rows = [f"| `{form}` | `{write_id(_AN_ID, form).decode()}` |" for form in IdForm]
    return "\n".join([f"| form | message {_AN_ID} |", "|---|---|", *rows])


def dialects_block() -> str:
    """Return the dialects of receipt texts, and the fields of templates."""
    dialects = [f"| `{name}` | {dialect.about} | {_template(dialect.text)} |" for name, dialect in DIALECTS.items()]
    fields = [f"| `{{{name}}}` | {field.about} |" for name, field in FIELDS.items()]
    return "\n".join(
        [
            "| dialect | what is odd about it | template |", "|---|---|---|", *dialects, "",
            "| field of a template | what it is |", "|---|---|", *fields,
        ]
    )  # fmt: skip


def _template(text: ReceiptText) -> str:
    shown = text.template.replace("\0", "\\0").replace("\r", "\\r").replace("\n", "\\n")
    return f"`{shown}`" if shown else "an empty text"
