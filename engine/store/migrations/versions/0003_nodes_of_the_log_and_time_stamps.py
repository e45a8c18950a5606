"""Nodes of the log, and time stamps."""

import hashlib

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_OPEN = sa.text("closed_at IS NULL")
_NOTE = sa.text("stamp_note_due = 1")


def upgrade() -> None:
    """Apply the revision."""
    node = op.create_table(
        "evidence_node",
        sa.Column("application_id", sa.Text(), nullable=False),
        sa.Column("level", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("index", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("application_id", "level", "index"),
        sqlite_with_rowid=False,
    )
    _build_nodes(node)
    op.drop_column("evidence_leaf", "hash")
    op.add_column("evidence_leaf", sa.Column("closed", sa.BigInteger(), server_default="1", nullable=False))
    op.add_column("evidence_root", sa.Column("number", sa.BigInteger(), server_default="0", nullable=False))
    op.execute("UPDATE evidence_root SET number = size")  # so were their events numbered
    op.add_column("evidence_chain", sa.Column("stamped_at", sa.BigInteger(), nullable=True))
    op.add_column("evidence_chain", sa.Column("stamp_note_due", sa.BigInteger(), server_default="0", nullable=False))
    op.create_index(
        "ix_evidence_open", "evidence_chain", ["case_id"], unique=False, sqlite_where=_OPEN, postgresql_where=_OPEN
    )
    op.create_index(
        "ix_evidence_note", "evidence_chain", ["case_id"], unique=False, sqlite_where=_NOTE, postgresql_where=_NOTE
    )
    op.create_index("ix_evidence_subject", "evidence_opening", ["application_id", "subject_fp"], unique=False)


def _build_nodes(node: sa.Table) -> None:
    """Fill the table with the complete subtrees of the logs that are there (RFC 6962, section 2.1)."""
    connection = op.get_bind()
    leaves = sa.table("evidence_leaf", sa.column("application_id"), sa.column("position"), sa.column("hash"))
    query = sa.select(leaves.c.application_id, leaves.c.position, leaves.c.hash)
    peaks: dict[str, list[bytes]] = {}
    for application, position, leaf in connection.execute(query.order_by(*query.selected_columns[:2])).all():
        carry, index, level = bytes.fromhex(leaf), position, 0
        kept = peaks.setdefault(application, [])
        rows = [{"application_id": application, "level": 0, "index": index, "hash": leaf}]
        while index & 1:
            carry = hashlib.sha256(b"\1" + kept.pop() + carry).digest()
            index, level = index >> 1, level + 1
            rows.append({"application_id": application, "level": level, "index": index, "hash": carry.hex()})
        kept.append(carry)
        op.bulk_insert(node, rows)


def downgrade() -> None:
    """Take the revision back."""
    op.drop_index("ix_evidence_subject", table_name="evidence_opening")
    op.drop_index("ix_evidence_open", table_name="evidence_chain", sqlite_where=_OPEN, postgresql_where=_OPEN)
    op.drop_index("ix_evidence_note", table_name="evidence_chain", sqlite_where=_NOTE, postgresql_where=_NOTE)
    op.drop_column("evidence_chain", "stamp_note_due")
    op.drop_column("evidence_chain", "stamped_at")
    op.drop_column("evidence_root", "number")
    op.drop_column("evidence_leaf", "closed")
    op.add_column("evidence_leaf", sa.Column("hash", sa.Text(), server_default="", nullable=False))
    op.execute(
        "UPDATE evidence_leaf SET hash = (SELECT n.hash FROM evidence_node n WHERE n.level = 0"
        ' AND n.application_id = evidence_leaf.application_id AND n."index" = evidence_leaf.position)'
    )
    op.drop_table("evidence_node")
