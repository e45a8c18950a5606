"""`python -m smppsim`: the `smppsim` command, for children that must run under the very same interpreter."""

from smppsim.cli import main

main()
