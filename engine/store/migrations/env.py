"""Alembic's entry: runs the revisions on the connection that `engine.store.schema` hands in.

It is executed by alembic alone, never imported by the engine.
"""

from alembic import context
from sqlmodel import SQLModel

from engine.store import (
    tables,
    tables_cases,
    tables_evidence,
    tables_handover,
    tables_leads,
    tables_signing,
    tables_tenancy,
)

# Imported for their metadata.
_TABLES = (tables, tables_cases, tables_evidence, tables_handover, tables_leads, tables_signing, tables_tenancy)

context.configure(connection=context.config.attributes["connection"], target_metadata=SQLModel.metadata)
with context.begin_transaction():
    context.run_migrations()
