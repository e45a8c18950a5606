"""`python -m engine`: the `sceau` command, for children that must run under the very same interpreter."""

from engine.cli import main

main()
