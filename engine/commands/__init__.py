"""The commands of `sceau`, one module each; `engine.cli` puts them together."""
