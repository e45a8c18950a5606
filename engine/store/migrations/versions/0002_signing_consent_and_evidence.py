"""Signing, consent and evidence."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the revision."""
    op.create_table(
        "consent_entry",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("application_id", sa.Text(), nullable=False),
        sa.Column("phone_fp", sa.Text(), nullable=False),
        sa.Column("our_number", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("category", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("source_id", sa.Text(), server_default="", nullable=False),
        sa.Column("legal_basis", sa.Text(), server_default="", nullable=False),
        sa.Column("sealed", sa.Text(), server_default="", nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_consent_phone", "consent_entry", ["phone_fp", "application_id", "id"], unique=False)
    op.create_table(
        "evidence_chain",
        sa.Column("case_id", sa.Text(), nullable=False),
        sa.Column("application_id", sa.Text(), nullable=False),
        sa.Column("count", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("head", sa.Text(), server_default="", nullable=False),
        sa.Column("closed_at", sa.BigInteger(), nullable=True),
        sa.Column("anchored", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("anchor_due", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("retain_until", sa.BigInteger(), nullable=False),
        sa.Column("hold_reason", sa.Text(), nullable=True),
        sa.Column("hold_until", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("case_id"),
    )
    op.create_index(
        "ix_evidence_due",
        "evidence_chain",
        ["application_id", "case_id"],
        unique=False,
        sqlite_where=sa.text("anchor_due = 1"),
        postgresql_where=sa.text("anchor_due = 1"),
    )
    op.create_index("ix_evidence_retain", "evidence_chain", ["retain_until"], unique=False)
    op.create_table(
        "evidence_entry",
        sa.Column("case_id", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("application_id", sa.Text(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("case_id", "seq"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "evidence_leaf",
        sa.Column("application_id", sa.Text(), nullable=False),
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("case_id", sa.Text(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("application_id", "position"),
    )
    op.create_index("ix_evidence_leaf_case", "evidence_leaf", ["case_id", "position"], unique=False)
    op.create_table(
        "evidence_opening",
        sa.Column("case_id", sa.Text(), nullable=False),
        sa.Column("commitment", sa.Text(), nullable=False),
        sa.Column("application_id", sa.Text(), nullable=False),
        sa.Column("subject_fp", sa.Text(), nullable=False),
        sa.Column("sealed", sa.Text(), nullable=False),
        sa.Column("guard", sa.Text(), server_default="[]", nullable=False),
        sa.PrimaryKeyConstraint("case_id", "commitment"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "evidence_root",
        sa.Column("application_id", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("signature", sa.Text(), nullable=False),
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.Column("tokens", sa.Text(), server_default="[]", nullable=False),
        sa.Column("stamp_attempts", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("stamp_due_at", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("application_id", "size"),
    )
    op.create_index(
        "ix_evidence_stamp_due",
        "evidence_root",
        ["stamp_due_at"],
        unique=False,
        sqlite_where=sa.text("stamp_due_at IS NOT NULL"),
        postgresql_where=sa.text("stamp_due_at IS NOT NULL"),
    )
    op.create_table(
        "evidence_subject",
        sa.Column("application_id", sa.Text(), nullable=False),
        sa.Column("subject_fp", sa.Text(), nullable=False),
        sa.Column("sealed_key", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("application_id", "subject_fp"),
    )
    op.create_table(
        "opt_out",
        sa.Column("application_id", sa.Text(), nullable=False),
        sa.Column("phone_fp", sa.Text(), nullable=False),
        sa.Column("our_number", sa.Text(), nullable=False),
        sa.Column("category", sa.Text(), nullable=False),
        sa.Column("entry_id", sa.Text(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("application_id", "phone_fp", "our_number"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "signing",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("application_id", sa.Text(), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("signer_id", sa.Text(), nullable=False),
        sa.Column("document_id", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("phone_fp", sa.Text(), nullable=False),
        sa.Column("sender", sa.Text(), nullable=False),
        sa.Column("seed", sa.Text(), nullable=True),
        sa.Column("old_seeds", sa.Text(), server_default="[]", nullable=False),
        sa.Column("listening", sa.BigInteger(), server_default="1", nullable=False),
        sa.Column("code_until", sa.BigInteger(), nullable=True),
        sa.Column("data", sa.Text(), nullable=False),
        sa.Column("final_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "ix_signing_listening",
        "signing",
        ["phone_fp"],
        unique=False,
        sqlite_where=sa.text("listening = 1"),
        postgresql_where=sa.text("listening = 1"),
    )
    op.create_index("ix_signing_request", "signing", ["request_id", "id"], unique=False)
    op.create_index(
        "ix_reply_part_reply",
        "reply_part",
        ["reply_id"],
        unique=False,
        sqlite_where=sa.text("reply_id IS NOT NULL"),
        postgresql_where=sa.text("reply_id IS NOT NULL"),
    )


def downgrade() -> None:
    """Take the revision back."""
    op.drop_index(
        "ix_reply_part_reply",
        table_name="reply_part",
        sqlite_where=sa.text("reply_id IS NOT NULL"),
        postgresql_where=sa.text("reply_id IS NOT NULL"),
    )
    op.drop_index("ix_signing_request", table_name="signing")
    op.drop_index(
        "ix_signing_listening",
        table_name="signing",
        sqlite_where=sa.text("listening = 1"),
        postgresql_where=sa.text("listening = 1"),
    )
    op.drop_table("signing")
    op.drop_table("opt_out")
    op.drop_table("evidence_subject")
    op.drop_index(
        "ix_evidence_stamp_due",
        table_name="evidence_root",
        sqlite_where=sa.text("stamp_due_at IS NOT NULL"),
        postgresql_where=sa.text("stamp_due_at IS NOT NULL"),
    )
    op.drop_table("evidence_root")
    op.drop_table("evidence_opening")
    op.drop_index("ix_evidence_leaf_case", table_name="evidence_leaf")
    op.drop_table("evidence_leaf")
    op.drop_table("evidence_entry")
    op.drop_index("ix_evidence_retain", table_name="evidence_chain")
    op.drop_index(
        "ix_evidence_due",
        table_name="evidence_chain",
        sqlite_where=sa.text("anchor_due = 1"),
        postgresql_where=sa.text("anchor_due = 1"),
    )
    op.drop_table("evidence_chain")
    op.drop_index("ix_consent_phone", table_name="consent_entry")
    op.drop_table("consent_entry")
