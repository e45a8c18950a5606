"""Texts, codes and raw PDUs are nowhere in the database; numbers only in the columns listed here.

Every text column of every table is read, and the octets of SQLite's file and its log; the list of columns is data, for
`docs/ARCHITECTURE.md` to show.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trio
from sqlmodel import SQLModel

from engine.smpp.pdu import encode
from engine.store.connections import Database
from engine.store.statements import SQLITE, Statement
from engine.transit.replaying import replay
from tests.intake_kit import mo, receipt
from tests.rig import MESSAGES, Rig, rig
from tests.scenarios.test_intake_pressure import Alarms, picky

# The only columns in which a person's phone number stands in clear, and why.
NUMBER_COLUMNS = {
    "message.recipient": "whom to send to; purged with the message's row",
    "cases.phone": "whom the conversation is with; purged with the case's row",
    "reply.source": "who wrote, in canonical form; purged with the reply's row",
    "reply.source_raw": "who wrote, as the operator said it; purged with the reply's row",
}

NUMBER = "+33612345671"
FORMS_OF_NUMBER = ("33612345671", "0612345671", "612345671")
WORDS = "CANARI-JAUNE"
NUMBERS = {"ours": {"address": "38123", "application": "app_test", "accounts": ["sim"]}}


def spellings(secret: str) -> Iterator[bytes]:
    """A secret as it may stand in a file: text, UTF-16, hex of its octets, base64 at each of three offsets."""
    octets = secret.encode()
    yield from (octets, secret.encode("utf-16-be"), secret.encode("utf-16-le"), octets.hex().encode())
    yield octets.hex().upper().encode()
    for offset in range(3):
        coded = base64.b64encode(b"\0" * offset + octets)[4 if offset else 0 :]
        yield coded[: len(coded) // 4 * 4 - 4].rstrip(b"=")


async def every_text(pair: Rig) -> Iterator[tuple[str, str]]:
    """(table.column, value) of every text in the database."""
    found: list[tuple[str, str]] = []
    for name, table in SQLModel.metadata.tables.items():
        columns = [column.name for column in table.columns]
        rows = await pair.core.store.read(lambda tx, table=table: tx.all(Statement(lambda _: table.select())))
        found += [
            (f"{name}.{column}", value)
            for row in rows
            for column, value in zip(columns, row, strict=True)
            if isinstance(value, str)
        ]
    return iter(found)


async def live(pair: Rig) -> list[str]:
    """Everything that carries secrets, once: a code, notices, replies whole and in parts, receipts, a parked one."""
    Alarms(pair)
    handset = pair.sim.handset(NUMBER)
    started = await pair.verify(NUMBER)
    await handset.wait()
    code = handset.code
    assert code is not None
    await pair.settled(1)
    wrong = "135791" if code != "135791" else "246802"
    await pair.check(started.body["id"], wrong)
    pair.sim.behave(receipts="never")
    other = await pair.send("en doute", NUMBER, category="transactional")
    await pair.until(other, "accepted")
    message = list(pair.sim.smsc.messages)[-1]
    pair.sim.send("sceau", _receipt_with_words(message.message_id))
    pair.sim.send("sceau", _receipt_with_words(b"31337"))
    handset.reply(f"{WORDS} {code}", to="38123")
    handset.reply(f"{WORDS} {code} " + "y" * 200, to="38123")
    orphan_part = mo(f"{WORDS} {code}", source=NUMBER)
    pair.sim.send("sceau", orphan_part._replace(esm_class=0x40, short_message=b"\5\0\3\7\2\1" + WORDS.encode()))
    mend = picky(pair, "poison")
    handset.reply(f"poison {WORDS} {code}", to="38123")
    await pair.settled(3)
    mend()
    right = await pair.check(started.body["id"], code)
    assert right.code == "approved"
    return [code, wrong]


def _look_into(folder: Path, secrets: tuple[str, ...]) -> None:
    files = [path for path in folder.iterdir() if path.name.startswith("sceau-") and path.suffix != ".shm"]
    assert any(path.name.endswith("-wal") and path.stat().st_size for path in files)
    for path in files:
        held = path.read_bytes()
        for secret in secrets:
            assert not any(spelling in held for spelling in spellings(secret)), path.name


def _receipt_with_words(smsc_id: bytes) -> Any:
    return receipt(smsc_id.decode(), to=NUMBER, text=f"{WORDS} 987654")


async def test_no_text_no_code_and_no_number_outside_its_columns_is_in_any_table(
    database: Database, autojump_clock: trio.testing.MockClock, tmp_path: Path
) -> None:
    """S3, S22, S23: canaries through every path, then every column of every table, the file and its log."""
    async with rig(database, numbers=NUMBERS) as pair:
        codes = [*await live(pair), "987654"]
        texts = list(await every_text(pair))
        tables = {place.partition(".")[0] for place, _ in texts}
        assert {"message", "part", "receipt", "orphan_key", "reply", "reply_part", "parked", "event", "cases"} <= tables
        for place, value in texts:
            for secret in (WORDS, *codes):
                for spelling in spellings(secret):
                    assert spelling not in value.encode("utf-8", "surrogatepass"), place
            if place not in NUMBER_COLUMNS:
                assert not any(form in value for form in FORMS_OF_NUMBER), place
        seen = {place for place, value in texts if any(form in value for form in FORMS_OF_NUMBER)}
        assert seen == set(NUMBER_COLUMNS)
        if database.dialect is SQLITE:
            _look_into(tmp_path, (WORDS, *codes))


async def test_the_canaries_are_found_where_they_are_allowed_to_be(
    sqlite_database: Database, autojump_clock: trio.testing.MockClock
) -> None:
    """S22: the test itself can fail: a notice's own body is kept in clear until it is purged, and found."""
    async with rig(sqlite_database) as pair:
        message_id = await pair.send(WORDS, NUMBER)
        await pair.until(message_id, "delivered")
        texts = list(await every_text(pair))
        assert {place for place, value in texts if WORDS in value} == {"message.body"}
        [part_digest] = [value for place, value in texts if place == "part.text_digest"]
        assert len(part_digest) == 32
        assert (await pair.rows(MESSAGES))[0]["recipient"] == NUMBER


async def test_a_parked_delivery_opens_only_with_the_key_and_for_its_own_row(
    sqlite_database: Database, autojump_clock: trio.testing.MockClock
) -> None:
    """S24: swapped rows do not open; a replay says so and changes nothing."""
    async with rig(sqlite_database, numbers=NUMBERS) as pair:
        Alarms(pair)
        picky(pair, "poison")
        for number in range(2):
            pair.sim.handset(NUMBER).reply(f"poison {number}", to="38123")
        await pair.settled(2)
        table = SQLModel.metadata.tables["parked"]
        rows = await pair.core.store.read(lambda tx: tx.all(Statement(lambda _: table.select())))
        (first, *_), (_second, _, _, sealed, *_) = rows
        swap = Statement(lambda _: table.update().where(table.c.id == first).values(sealed=sealed))
        await pair.core.store.write(lambda tx: tx.run(swap))
        assert (await replay(pair.core.store, first, pair.core.pool.desk_of, pair.clock)).code == "unreadable"
        assert encode(mo("poison 1", source=NUMBER), 1) not in sealed.encode()


@pytest.mark.parametrize("secret", ["482913", WORDS])
def test_every_spelling_of_a_secret_is_looked_for(secret: str) -> None:
    hidden = [secret.encode(), secret.encode().hex().encode(), base64.b64encode(b"xy" + secret.encode() + b"zz")]
    for held in hidden:
        assert any(spelling in held for spelling in spellings(secret))
