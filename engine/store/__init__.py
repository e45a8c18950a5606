"""The rows and the one doorway to them: tables, allowed moves, compiled statements, the group-commit writer."""
