"""Log entries of couriers' devices about no delivery: found by their age, to be erased after their days."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the revision."""
    op.create_index(
        "ix_handover_unknown",
        "handover_entry",
        ["received_at"],
        unique=False,
        sqlite_where=sa.text("result = 'not_found'"),
        postgresql_where=sa.text("result = 'not_found'"),
    )


def downgrade() -> None:
    """Take the revision back."""
    op.drop_index(
        "ix_handover_unknown",
        table_name="handover_entry",
        sqlite_where=sa.text("result = 'not_found'"),
        postgresql_where=sa.text("result = 'not_found'"),
    )
