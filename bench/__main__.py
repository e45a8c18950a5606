"""`python -m bench [names…] [--quick] [--markdown]`: measures the figures and prints one table of them.

Every task runs in a process and a temporary folder of its own and has a time limit; one that fails leaves its rows
empty. Exits with 1 if a figure was missed or not measured, unless `--quick`: small sizes prove the harness alone.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.conditions import conditions
from bench.figures import ROWS, TASKS, Measured

_END_S = 15.0


def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure the figures of docs/benchmarks.md.")
    parser.add_argument("names", nargs="*", metavar="name", help=f"of {', '.join(TASKS)}; none: all")
    parser.add_argument("--quick", action="store_true", help="small sizes, a few minutes: does the harness work?")
    parser.add_argument("--markdown", action="store_true", help="print the table as docs/benchmarks.md has it")
    parser.add_argument("--into", type=Path, help=argparse.SUPPRESS)  # a task's own process writes its rows here
    given = parser.parse_args()
    if unknown := [name for name in given.names if name not in TASKS]:
        parser.error(f"there is no {', '.join(unknown)}; there are {', '.join(TASKS)}")
    if given.into is not None:
        found = TASKS[given.names[0]].measure(given.quick)
        given.into.write_text(json.dumps(found))
        return
    raise SystemExit(_run(given.names or list(TASKS), quick=given.quick, markdown=given.markdown))


def _run(names: list[str], *, quick: bool, markdown: bool) -> int:
    told = Console(stderr=True, highlight=False)
    circumstances = conditions()
    for name, value in circumstances:
        told.print(f"[dim]{name:12}[/] {value}")
    found: Measured = {}
    for name in names:
        with told.status(f"{name} …"):
            found |= _measured(name, quick, told)
    rows = [row for name in names for row in TASKS[name].rows]
    rows.sort(key=list(ROWS).index)
    if markdown:
        print(_as_markdown(circumstances, rows, found, quick=quick))
    else:
        Console(highlight=False).print(_as_table(rows, found))
    good = all(row in found and ROWS[row].holds(found[row][0]) for row in rows)
    return 0 if good or quick else 1


def _measured(name: str, quick: bool, told: Console) -> Measured:
    """Run a task in its own process group; return its rows, none if it failed or took too long."""
    bound_s = TASKS[name].bound_s[quick]
    with tempfile.TemporaryDirectory(prefix="sceau-bench-", ignore_cleanup_errors=True) as folder:
        into = Path(folder) / "rows.json"
        command = [sys.executable, "-m", "bench", name, "--into", str(into), *(["--quick"] if quick else [])]
        environment = {**os.environ, "TMPDIR": folder}
        # What a task prints is for whoever runs it alone.
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, start_new_session=True)
        try:
            code = process.wait(bound_s)
        except subprocess.TimeoutExpired:
            told.print(f"[red]{name}[/] took more than {bound_s:g} s")
            code = None
        finally:
            _end(process)
        if code:
            told.print(f"[red]{name}[/] failed")
        if code != 0:
            return {}
        return {row: (float(value), note) for row, (value, note) in json.loads(into.read_text()).items()}


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a task and the processes it started, if any are left; an interrupt lets it clean up."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_END_S)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _cells(row: str, found: Measured) -> tuple[str, str, str, str, str]:
    promised = ROWS[row]
    if row not in found:
        return promised.title, "–", promised.promise, "not measured", ""
    value, note = found[row]
    return (
        promised.title,
        promised.shown(value),
        promised.promise,
        "pass" if promised.holds(value) else "below" if not promised.most else "above",
        note,
    )


def _as_table(rows: list[str], found: Measured) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("figure")
    for heading in ("measured", "promised"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("")
    for row in rows:
        title, measured, promise, verdict, note = _cells(row, found)
        colour = "green" if verdict == "pass" else "red"
        table.add_row(
            f"{title}\n[dim]{note}[/]" if note else title, f"[bold]{measured}[/]", promise, f"[{colour}]{verdict}[/]"
        )
    return table


def _as_markdown(circumstances: list[tuple[str, str]], rows: list[str], found: Measured, *, quick: bool) -> str:
    lines = [f"- {name}: {value}" for name, value in circumstances]
    if quick:
        lines.append("- **`--quick`: small sizes; these are no figures**")
    lines += ["", "| figure | measured | promised | | beside |", "|---|--:|--:|---|---|"]
    lines += [f"| {' | '.join(_cells(row, found))} |" for row in rows]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
