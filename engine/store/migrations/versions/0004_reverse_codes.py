"""Reverse codes."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the revision."""
    op.create_table(
        "reverse_code",
        sa.Column("code_index", sa.Text(), nullable=False),
        sa.Column("application_id", sa.Text(), nullable=False),
        sa.Column("case_id", sa.Text(), nullable=False),
        sa.Column("token_hash", sa.Text(), nullable=False),
        sa.Column("secret_hash", sa.Text(), nullable=False),
        sa.Column("sender_fp", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("code_index"),
    )
    op.create_index("ix_reverse_case", "reverse_code", ["case_id"], unique=False)
    op.create_index("ix_reverse_token", "reverse_code", ["token_hash"], unique=False)
    op.create_index("ix_reverse_sender", "reverse_code", ["application_id", "sender_fp"], unique=False)


def downgrade() -> None:
    """Take the revision back."""
    op.drop_index("ix_reverse_sender", table_name="reverse_code")
    op.drop_index("ix_reverse_token", table_name="reverse_code")
    op.drop_index("ix_reverse_case", table_name="reverse_code")
    op.drop_table("reverse_code")
