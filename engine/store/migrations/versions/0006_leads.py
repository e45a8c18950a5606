"""Leads: models, funnels, what CRMs are owed; and whose marketing reached a number last."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the revision."""
    op.create_table(
        "lead_crm",
        sa.Column("connector", sa.Text(), nullable=False),
        sa.Column("lead_id", sa.Text(), nullable=False),
        sa.Column("application_id", sa.Text(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=True),
        sa.Column("attempts", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("crm_id", sa.Text(), server_default="", nullable=False),
        sa.Column("heard", sa.Text(), server_default="{}", nullable=False),
        sa.PrimaryKeyConstraint("connector", "lead_id"),
    )
    op.create_index(
        "ix_crm_due",
        "lead_crm",
        ["connector", "due_at"],
        unique=False,
        sqlite_where=sa.text("due_at IS NOT NULL"),
        postgresql_where=sa.text("due_at IS NOT NULL"),
    )
    op.create_index("ix_crm_id", "lead_crm", ["connector", "crm_id"], unique=False)
    op.create_index("ix_crm_lead", "lead_crm", ["lead_id"], unique=False)
    op.create_table(
        "lead_funnel",
        sa.Column("application_id", sa.Text(), nullable=False),
        sa.Column("day", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("form", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("count", sa.BigInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("application_id", "day", "form", "source", "stage"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "lead_model",
        sa.Column("application_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("settings", sa.Text(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("application_id", "name"),
    )
    op.create_table(
        "marketing_reach",
        sa.Column("stop_address", sa.Text(), nullable=False),
        sa.Column("phone_fp", sa.Text(), nullable=False),
        sa.Column("application_id", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("stop_address", "phone_fp"),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    """Take the revision back."""
    op.drop_table("marketing_reach")
    op.drop_table("lead_model")
    op.drop_table("lead_funnel")
    op.drop_index("ix_crm_lead", table_name="lead_crm")
    op.drop_index("ix_crm_id", table_name="lead_crm")
    op.drop_index(
        "ix_crm_due",
        table_name="lead_crm",
        sqlite_where=sa.text("due_at IS NOT NULL"),
        postgresql_where=sa.text("due_at IS NOT NULL"),
    )
    op.drop_table("lead_crm")
