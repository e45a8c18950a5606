"""The engine does: it keeps the rows, holds the binds, and carries what the workflows decide."""
