"""Deliveries, the devices of couriers, and their logs."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the revision."""
    op.create_table(
        "courier_device",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("application_id", sa.Text(), nullable=False),
        sa.Column("courier", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), server_default="", nullable=False),
        sa.Column("public_key", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("head", sa.Text(), server_default="", nullable=False),
        sa.Column("adjudicated", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_device_application", "courier_device", ["application_id", "id"], unique=False)
    op.create_table(
        "delivery_party",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("application_id", sa.Text(), nullable=False),
        sa.Column("delivery_id", sa.Text(), nullable=False),
        sa.Column("phone_fp", sa.Text(), nullable=False),
        sa.Column("sender", sa.Text(), nullable=False),
        sa.Column("seed", sa.Text(), nullable=True),
        sa.Column("token_hash", sa.Text(), server_default="", nullable=False),
        sa.Column("listening", sa.BigInteger(), server_default="1", nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_party_delivery", "delivery_party", ["delivery_id", "id"], unique=False)
    op.create_index(
        "ix_party_listening",
        "delivery_party",
        ["phone_fp"],
        unique=False,
        sqlite_where=sa.text("listening = 1"),
        postgresql_where=sa.text("listening = 1"),
    )
    op.create_index("ix_party_person", "delivery_party", ["application_id", "phone_fp"], unique=False)
    op.create_index("ix_party_token", "delivery_party", ["token_hash"], unique=False)
    op.create_table(
        "handover_entry",
        sa.Column("device_id", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("application_id", sa.Text(), nullable=False),
        sa.Column("delivery_id", sa.Text(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("sealed", sa.Text(), nullable=True),
        sa.Column("result", sa.Text(), server_default="", nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("device_id", "seq"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_handover_delivery", "handover_entry", ["delivery_id"], unique=False)


def downgrade() -> None:
    """Take the revision back."""
    op.drop_index("ix_handover_delivery", table_name="handover_entry")
    op.drop_table("handover_entry")
    op.drop_index("ix_party_token", table_name="delivery_party")
    op.drop_index("ix_party_person", table_name="delivery_party")
    op.drop_index(
        "ix_party_listening",
        table_name="delivery_party",
        sqlite_where=sa.text("listening = 1"),
        postgresql_where=sa.text("listening = 1"),
    )
    op.drop_index("ix_party_delivery", table_name="delivery_party")
    op.drop_table("delivery_party")
    op.drop_index("ix_device_application", table_name="courier_device")
    op.drop_table("courier_device")
