"""The schema's history: alembic revisions, and the one function that brings a database up to date."""
