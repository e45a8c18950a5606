"""Revisions that move data: what an older version kept means the same afterwards."""

from __future__ import annotations

from pathlib import Path

from engine.evidence.anchoring import frontier_of
from engine.store import schema
from engine.store.connections import Database
from engine.store.doorway import Store
from workflows.merkle import Frontier, leaf_hash


async def test_a_log_of_before_nodes_were_kept_grows_on_from_where_it_was(tmp_path: Path) -> None:
    database = Database.at(f"sqlite:///{tmp_path / 'old.sqlite3'}")
    schema.migrate(database, "0002")
    hashes = {name: [leaf_hash(f"{name} {number}".encode()) for number in range(size)] for name, size in LOGS.items()}
    connection = database.connect()
    for name, leaves in hashes.items():
        for position, hashed in enumerate(leaves):
            connection.execute(
                "INSERT INTO evidence_leaf (application_id, position, case_id, content, hash, at) VALUES (?,?,?,?,?,?)",
                (name, position, f"sig_{position}", "{}", hashed.hex(), 1),
            )
    connection.commit()
    connection.close()
    schema.migrate(database)
    assert schema.differences(database) == []
    store = Store(database, inline=True)
    store.open()
    for name, leaves in hashes.items():
        frontier = Frontier()
        for leaf in leaves:
            frontier, _ = frontier.grown(leaf)
        assert await store.read(lambda tx, name=name: frontier_of(tx, name)) == frontier  # type: ignore[misc]
    await store.close()


LOGS = {"app_a": 1, "app_b": 13, "app_c": 64}
