"""The statements that run all day find their rows by an index, however long the history: the databases say so."""

from __future__ import annotations

import re

import pytest

from engine import gauges
from engine.cases import caseload, listening, reverse_rows
from engine.duties import messages, retention
from engine.store.connections import Database
from engine.store.statements import POSTGRESQL, SQLITE, Statement
from engine.transit import answers, plain, queue, receipting, reconciling, redelivery, replying
from engine.webhooks import replays

INDEX_OF = {
    "claim": (queue._CLAIMABLE, "ix_message_queue"),
    "backlog": (queue._NEXT_KEY, "ix_message_queue"),
    "waiting": (messages._DUE_WAITING, "ix_message_waiting"),
    "stranded": (messages._STRANDED, "ix_message_waiting"),
    "doubts": (messages._DOUBTS_DUE, "ix_message_doubt"),
    "lives": (messages._OVERDUE, "ix_message_open"),
    "takeover": (messages._ABANDONED, "ix_message_on_wire"),
    "doubtful": (reconciling._DOUBTFUL, "ix_part_doubt"),
    "on wire": (reconciling._ON_WIRE, "ix_message_on_wire"),
    "receipts of a number": (receipting._ABOUT_NUMBER, "ix_receipt_quarantine"),
    "siblings": (replying._SIBLINGS, "ix_reply_part_open"),
    "equal": (redelivery._EQUAL, "ix_reply_part_digest"),
    "listened to by signings": (listening._LISTENED_TO, "ix_signing_listening"),
    "listened to by deliveries": (listening._LISTENED_TO, "ix_party_listening"),
    "listened to by leads": (listening._LISTENED_TO, "ix_case_open"),
    "timers of cases": (caseload._END_TIMERS, "ix_timer_case"),
    "cases": (caseload._CASES, "sqlite_autoindex_cases"),
    "states of cases": (caseload._STORE, "sqlite_autoindex_cases"),
    "counts of guesses": (caseload._ALLOWANCES, "sqlite_autoindex_allowance"),
    "reverse codes": (reverse_rows._BY_CODE, "sqlite_autoindex_reverse_code"),
    "senders of reverse codes": (reverse_rows._CAME_FROM, "ix_reverse_case"),
    "entries about no delivery": (retention._UNKNOWN_ENTRIES, "ix_handover_unknown"),
    "stale parts": (replying._STALE, "ix_reply_part_open"),
    "webhooks of a timeline": (replays._OF_SUBJECTS, "ix_delivery_subject"),
}


@pytest.mark.parametrize("name", INDEX_OF)
def test_a_partial_index_is_used_because_its_condition_stands_in_the_statement(
    sqlite_database: Database, name: str
) -> None:
    statement, index = INDEX_OF[name]
    connection = sqlite_database.connect()
    try:
        plan = _plan(connection, statement)
    finally:
        connection.close()
    assert index in plan


def test_a_million_queued_rows_are_counted_without_being_sorted(sqlite_database: Database) -> None:
    connection = sqlite_database.connect()
    try:
        plan = _plan(connection, gauges._QUEUED)
    finally:
        connection.close()
    assert "ix_message_queue" in plan
    assert "TEMP B-TREE" not in plan


SOUGHT_BY_KEY = {
    "claims": queue.MARK.update,
    "releases": queue._RELEASE.update,
    "answers": queue._ANSWER_PARTS.update,
    "receipts": queue._SETTLE_PARTS.update,
    "silence": answers._DOUBT_PARTS.update,
    "plain answers": plain._ACCEPT,
    "plain receipts": plain._DELIVER,
    "parts of plain answers": plain._ACCEPT_PARTS,
    "parts of plain receipts": plain._DELIVER_PARTS,
    "answered messages": queue._STORE_ANSWERED,
    "ended messages": queue._STORE_ENDED,
    "messages": queue._LOAD,
}


_HISTORY = """
INSERT INTO message (id, application_id, category, message_class, lane, route, recipient, country, sender, parts,
  open_parts, unanswered, attempts, doubts, throttles, sequence, number_unverified, simulated, state, created_at,
  expires_at, final_at)
SELECT 'msg_' || n, 'app', 'marketing', 'marketing', 2, 'all/main', '+33612345600', 'FR', 'main', 1, 0, 0, 1, 0, 0, 2,
  0, 0, 'delivered', 1, 2, 2 FROM generate_series(1, 5000) AS n;
INSERT INTO part (message_id, number, attempt, application_id, account, bind, run, text_digest, state, sent_at)
SELECT 'msg_' || n, 1, 1, 'app', 'sim', 'main', 'run_1', 'digest', 'delivered', 1 FROM generate_series(1, 5000) AS n;
"""


def test_postgresql_seeks_the_keys_of_a_batch_and_reads_no_index_of_a_state_that_only_a_vacuum_rids_of_the_dead(
    postgresql_database: Database,
) -> None:
    connection = postgresql_database.connect()
    try:
        connection.execute(_HISTORY)
        plans = {name: _postgresql_plan(connection, statement) for name, statement in SOUGHT_BY_KEY.items()}
    finally:
        connection.close()
    for name, plan in plans.items():
        sought = [line for line in plan if "Cond:" in line]
        assert len(sought) == 1, (name, plan)
        assert "given." in sought[0], (name, plan)


def _postgresql_plan(connection: object, statement: Statement) -> list[str]:
    compiled = statement.compiled(POSTGRESQL)
    same = dict.fromkeys(re.findall(r"%\((same_\w+)\)s", compiled.words.sql))
    values = compiled.words.by_name({**same, "rows": "[]"})
    rows = connection.execute("EXPLAIN " + compiled.unfolding() + compiled.words.sql, values)  # type: ignore[attr-defined]
    return [row[0] for row in rows]


def _plan(connection: object, statement: Statement) -> str:
    compiled = statement.compiled(SQLITE)
    sql = (compiled.head(1) if compiled.batch else "") + compiled.words.sql
    rows = connection.execute("EXPLAIN QUERY PLAN " + sql, [None] * sql.count("?"))  # type: ignore[attr-defined]
    return " | ".join(str(row[3]) for row in rows)
