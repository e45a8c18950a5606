"""The project's pages and the generators of their tables; nothing here is installed or runs with the engine."""
