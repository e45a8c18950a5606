"""The one tree of settings: read once at start from arguments, environment, secret files and `sceau.toml`, then frozen.

Everything is checked here, with errors that name the file and the field and never a value. The composition root
loads it and hands its sections down; nobody else reads files or the environment.
"""

import os
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import SecretStr, StringConstraints, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from engine.errors import SettingsError
from engine.settings_leads import LeadModelSettings
from engine.settings_operators import Account
from engine.settings_routing import Number, RouteSettings, Sender
from engine.settings_service import (
    ClassOverride,
    ConsentSettings,
    Crm,
    Evidence,
    Http,
    Lanes,
    Limits,
    Logs,
    Operations,
    Retention,
    Verification,
    Webhooks,
)
from engine.settings_sources import PATH_VARIABLE, PREFIX, Layer, explained, read_toml, read_variables
from engine.settings_tree import ByName

DEFAULT_FILE: Final = Path("sceau.toml")
_URL_SCHEMES: Final = ("sqlite:///", "postgresql://", "postgres://")

_layers: ContextVar[Sequence[Layer]] = ContextVar("settings_layers", default=())


class Settings(BaseSettings):
    """All settings. Made by `load`; made by hand (in tests) it reads neither files nor the environment."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    environment: Literal["development", "production"] = "development"
    node: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$")] = "sceau-1"
    data_dir: Path = Path("sceau-data")
    database_url: SecretStr | None = None
    keyring_path: Path | None = None
    http: Http = Http()
    operations: Operations = Operations()
    logs: Logs = Logs()
    accounts: Annotated[tuple[Account, ...], ByName()] = ()
    senders: Annotated[tuple[Sender, ...], ByName()] = ()
    numbers: Annotated[tuple[Number, ...], ByName()] = ()
    routes: Annotated[tuple[RouteSettings, ...], ByName()] = ()
    lanes: Lanes = Lanes()
    classes: Annotated[tuple[ClassOverride, ...], ByName()] = ()
    webhooks: Webhooks = Webhooks()
    consent: ConsentSettings = ConsentSettings()
    crm: Annotated[tuple[Crm, ...], ByName()] = ()
    lead_models: Annotated[tuple[LeadModelSettings, ...], ByName()] = ()
    retention: Retention = Retention()
    evidence: Evidence = Evidence()
    limits: Limits = Limits()
    verification: Verification = Verification()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Put arguments over variables over secret files over the settings file (pydantic-settings' hook)."""
        del env_settings, dotenv_settings, file_secret_settings
        below = (InitSettingsSource(settings_cls, dict(layer.tree)) for layer in _layers.get())
        return (init_settings, *below)

    @field_validator("database_url")
    @classmethod
    def _known_database(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None and not url.get_secret_value().startswith(_URL_SCHEMES):
            raise ValueError("must start with sqlite:/// or postgresql://")
        return url

    @model_validator(mode="after")
    def _names_exist(self) -> Self:
        known = {account.name for account in self.accounts}
        users = [
            *(("senders", sender.name, [form.name for form in sender.accounts]) for sender in self.senders),
            *(("numbers", number.name, number.accounts) for number in self.numbers),
            *(("routes", route.name, route.accounts) for route in self.routes),
        ]
        for section, name, wanted in users:
            for account in wanted:
                if account not in known:
                    raise ValueError(f"{section}.{name} names the account {account!r}, which is not there")
        return self

    @model_validator(mode="after")
    def _owners_are_clear(self) -> Self:
        seen: dict[tuple[str, str], str] = {}
        for number in self.numbers:
            for keyword in number.keywords or ("",):
                other = seen.setdefault((number.address, keyword.casefold()), number.name)
                if other != number.name:
                    raise ValueError(f"numbers.{number.name} and numbers.{other} claim the same address and keyword")
        return self

    @model_validator(mode="after")
    def _production(self) -> Self:
        if self.environment == "production":
            for account in self.accounts:
                if account.kind == "simulator":
                    raise ValueError(f"accounts.{account.name} is a simulator, which production refuses")
            if self.webhooks.allow_loopback:
                raise ValueError("webhooks.allow_loopback is for development only")
        return self

    @property
    def store_url(self) -> str:
        """Return the database's URL, password included: for the store alone, never for a log."""
        if self.database_url is not None:
            return self.database_url.get_secret_value()
        return f"sqlite:///{self.data_dir / 'sceau.sqlite3'}"

    @property
    def keyring_file(self) -> Path:
        """Return where the key ring is."""
        return self.keyring_path or self.data_dir / "keyring.toml"

    def account(self, name: str) -> Account:
        """Return an account by its name; raises `KeyError`."""
        for account in self.accounts:
            if account.name == name:
                return account
        raise KeyError(name)

    def masked(self) -> dict[str, Any]:
        """Return every setting as plain values, secrets as asterisks: for `sceau config show`."""
        return self.model_dump(mode="json")


def load(path: Path | None = None, environ: Mapping[str, str] | None = None, **given: Any) -> Settings:
    """Read the settings: `given` over `SCEAU_*` over `SCEAU_…_FILE` over the file.

    The file is `path`, else `$SCEAU_SETTINGS`, else `sceau.toml` if there is one. Raises `SettingsError`.
    """
    variables = os.environ if environ is None else environ
    layers = [*read_variables(variables, Settings)]
    named = path or (Path(variables[PATH_VARIABLE]) if variables.get(PATH_VARIABLE) else None)
    if named is not None or DEFAULT_FILE.exists():
        layers.append(read_toml(named or DEFAULT_FILE, Settings))
    token = _layers.set(layers)
    try:
        return Settings(**given)
    except ValidationError as error:
        raise explained(error, layers) from None
    finally:
        _layers.reset(token)


def environment_without_settings() -> dict[str, str]:
    """Return this process's environment without a `SCEAU_` variable, for a child with settings of its own alone."""
    return {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}


__all__ = ["DEFAULT_FILE", "Settings", "SettingsError", "environment_without_settings", "load"]
