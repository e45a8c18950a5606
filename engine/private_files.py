"""Files that hold secrets: written for their owner alone, and refused when others could read them (S26).

It does not know what the secrets are. `keyring`, `settings` and the `init` command call it.
"""

import os
import stat
from pathlib import Path
from typing import Final

from engine.errors import SettingsError

_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


def write_private(path: Path, text: str) -> None:
    """Create a file with mode 0600, durably; raises `FileExistsError` rather than replace one."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    _sync_folder(path.parent)


def replace_private(path: Path, text: str) -> None:
    """Replace a file, whole or not at all, by one of mode 0600."""
    fresh = path.with_name(f"{path.name}.new")
    fresh.unlink(missing_ok=True)
    write_private(fresh, text)
    fresh.replace(path)
    _sync_folder(path.parent)


def read_private(path: Path, what: str, *, group_may_read: bool = False) -> str:
    """Return a secret file's text; raises `SettingsError` if unreadable, or if group or others have access.

    `group_may_read` is for secrets that a container platform mounts, which it hands over by group.
    """
    barred = _OTHERS & ~stat.S_IRGRP if group_may_read else _OTHERS
    try:
        with path.open(encoding="utf-8") as file:
            mode = os.fstat(file.fileno()).st_mode
            if stat.S_ISREG(mode) and mode & barred:
                raise SettingsError(
                    f"{what} {path} is open to others (mode {stat.S_IMODE(mode):04o}): chmod 600 {path}"
                )
            return file.read()
    except FileNotFoundError:
        raise SettingsError(f"{what} {path} does not exist") from None
    except UnicodeDecodeError:
        raise SettingsError(f"{what} {path} is not text in UTF-8") from None
    except OSError as error:
        raise SettingsError(f"{what} {path} cannot be read: {error.strerror}") from None


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
