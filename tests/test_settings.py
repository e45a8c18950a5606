"""The settings: their sources and order, what is refused with which words, what is warned of, what is masked."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import trio

import engine
from docs.settings_reference import leaves
from engine.errors import SettingsError
from engine.settings import Settings, load
from engine.settings_operators import Account
from engine.settings_routing import Provisioned, address_kind
from engine.settings_tree import is_loopback
from engine.settings_warnings import start_warnings
from engine.smpp.pdu import Disposition
from engine.transit.binding import connector, session_options
from engine.transit.pool import router_of
from workflows.lead_model import Dormancy, Model

CANARY = "hunter2hunter2"
TOML = f"""
data_dir = "rows"

[accounts.orange]
rate = 50
default_region = "FR"

[accounts.orange.binds.main]
host = "127.0.0.1"
system_id = "sceau"
password = "{CANARY}"

[senders.login]
address = "38012"
lane = "otp"
accounts = ["orange"]

[routes.france]
countries = ["FR"]
accounts = ["orange"]
"""
LEAD_MODEL = """
[lead_models.demo]
brand = "Boutique"
weights = { need = 2 }

[[lead_models.demo.questions]]
id = "size"
axis = "fit"
kind = "choice"
text = { fr = "Combien ? A peu, B beaucoup", en = "How many? A few, B many" }
points = { A = 1, B = 5 }

[[lead_models.demo.sequences]]
name = "back"
trigger = "dormant"
messages = [{ after_s = 60, text = { fr = "Toujours partant ?" } }]

[lead_models.demo.dormancy]
after_days = 90
most = 2
"""
BIND: Mapping[str, Any] = {"host": "127.0.0.1", "system_id": "sceau", "password": "s3cretPw"}


def account(name: str = "orange", **fields: Any) -> dict[str, Any]:
    return {"binds": {"main": dict(BIND)}, "name": name, **fields}


def settings(*accounts: dict[str, Any], **sections: Any) -> Settings:
    return Settings(accounts=accounts or (account(),), **sections)


def refusal(file: Path, environ: Mapping[str, str] | None = None, **given: Any) -> str:
    with pytest.raises(SettingsError) as refused:
        load(file, environ or {}, **given)
    assert refused.value.__cause__ is None
    assert CANARY not in str(refused.value)
    return str(refused.value)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "sceau.toml"
    path.write_text(TOML)
    path.chmod(0o600)
    return path


def added(file: Path, text: str) -> Path:
    file.write_text(file.read_text() + text)
    return file


class TestSources:
    """Where a value comes from."""

    def test_a_file_is_read_and_its_tables_name_their_parts(self, file: Path) -> None:
        read = load(file, {})
        assert [one.name for one in read.accounts] == ["orange"]
        assert read.account("orange").binds[0].name == "main"
        assert read.senders[0].accounts[0].name == "orange"
        assert read.account("orange").rate == 50

    def test_relative_paths_count_from_the_folder_of_the_file(self, file: Path) -> None:
        read = load(file, {})
        assert read.data_dir == file.parent / "rows"
        assert read.store_url == f"sqlite:///{file.parent}/rows/sceau.sqlite3"
        assert read.keyring_file == file.parent / "rows" / "keyring.toml"

    def test_arguments_lie_over_variables_over_secret_files_over_the_file(self, file: Path, tmp_path: Path) -> None:
        secret = tmp_path / "secret"
        secret.write_text("from-file\n")
        secret.chmod(0o400)
        variables = {"SCEAU_ACCOUNTS__ORANGE__BINDS__MAIN__PASSWORD_FILE": str(secret)}

        def password(environ: dict[str, str], **given: Any) -> str:
            return load(file, environ, **given).account("orange").binds[0].password.get_secret_value()

        assert password({}) == CANARY
        assert password(variables) == "from-file"
        direct = {"SCEAU_ACCOUNTS__ORANGE__BINDS__MAIN__PASSWORD": "from-env"}
        assert password(direct) == "from-env"
        given = {"orange": {"binds": {"main": {"password": "from-arg"}}}}
        assert password(direct, accounts=given) == "from-arg"

    def test_a_variable_changes_one_leaf_and_keeps_the_rest(self, file: Path) -> None:
        read = load(file, {"SCEAU_ACCOUNTS__ORANGE__RATE": "75.5", "SCEAU_HTTP__PORT": "9000"})
        assert (read.account("orange").rate, read.account("orange").default_region, read.http.port) == (
            75.5,
            "FR",
            9000,
        )

    def test_a_variable_of_several_values_is_json_or_words_between_commas(self, file: Path) -> None:
        for text in ("443, 8443", "[443, 8443]"):
            assert load(file, {"SCEAU_WEBHOOKS__PORTS": text}).webhooks.ports == (443, 8443)

    def test_the_file_is_found_through_its_variable(self, file: Path) -> None:
        assert load(None, {"SCEAU_SETTINGS": str(file)}).accounts

    def test_without_a_file_there_are_defaults(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        assert load(None, {}) == Settings()

    def test_settings_made_by_hand_ignore_the_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SCEAU_HTTP__PORT", "9999")
        assert Settings().http.port == 8080

    def test_the_tree_is_frozen(self) -> None:
        with pytest.raises(ValueError, match="frozen"):
            Settings().http.port = 1  # type: ignore[misc]

    def test_a_secret_file_that_anyone_may_read_is_refused(self, file: Path, tmp_path: Path) -> None:
        """S26: file mode check."""
        secret = tmp_path / "secret"
        secret.write_text("x")
        secret.chmod(0o644)
        said = refusal(file, {"SCEAU_ACCOUNTS__ORANGE__BINDS__MAIN__PASSWORD_FILE": str(secret)})
        assert "SCEAU_ACCOUNTS__ORANGE__BINDS__MAIN__PASSWORD_FILE" in said
        assert "open to others" in said

    def test_a_settings_file_with_secrets_must_be_private_and_one_without_need_not(self, file: Path) -> None:
        file.chmod(0o644)
        assert "chmod 600" in refusal(file)
        file.write_text("[http]\nport = 9000\n")
        assert load(file, {}).http.port == 9000

    def test_a_path_of_a_certificate_is_no_secret_file(self, file: Path, tmp_path: Path) -> None:
        for name in ("cert", "key"):
            (tmp_path / name).touch()
        variables = {f"SCEAU_HTTP__TLS_{name.upper()}_FILE": str(tmp_path / name) for name in ("cert", "key")}
        assert load(file, variables).http.tls_cert_file == tmp_path / "cert"


class TestRefusals:
    """What is wrong is named by file or variable and field, never by value."""

    @pytest.mark.parametrize(
        ("text", "says"),
        [
            ("[http]\nport = 70000", "sceau.toml: http.port: should be less than or equal to 65535"),
            ("[htp]\nport = 1", "sceau.toml: htp: there is no such setting"),
            ("[accounts.sfr]", "sceau.toml: accounts.sfr.binds: is required"),
            ("[accounts.SFR]", "sceau.toml: accounts.SFR: "),
            ("[accounts.orange.binds.main.tls]\ncert_file = 'x'", "accounts.orange.binds.main.tls.cert_file"),
            ("[accounts.orange.status_overrides]\nfoo = 'temporary'", "a status is written as a number"),
            ("[routes.all]\naccounts = ['sfr']", "routes.all names the account 'sfr'"),
            ("[routes.all]\naccounts = []", "routes.all: a route needs at least one account"),
            ("[routes.all]\naccounts = ['orange', 'orange']", "named twice"),
            ("[routes.all]\naccounts = ['orange']\nnetworks = ['20801']", "routes.all.networks.0"),
            ("[senders.x]\naddress = 'Sceau'\naccounts = ['sfr']", "senders.x names the account 'sfr'"),
            ("[senders.x]\naddress = 'Sceau'\naccounts = []", "at least one account"),
            ("[senders.x]\naddress = 'ΔELTA'\naccounts = ['orange']", "senders.x.address: an alphanumeric sender has"),
            (
                "[senders.x]\naddress = 'DELTA'\n[senders.x.accounts.orange]\naddress = 'ΔELTA'",
                "sceau.toml: senders.x.accounts.orange.address: an alphanumeric sender has",
            ),
            ("[numbers.x]\naddress = 'Sceau'\napplication = 'a'\naccounts = ['orange']", "nobody can write"),
            ("[numbers.x]\naddress = '38012'\napplication = 'a'\naccounts = []", "on which its replies arrive"),
            ("[classes.nonsense]\nlife_s = 60", "no such message class"),
            ("[verification]\nlength = 4", "at most 3 attempts"),
            ("[http]\nhost = '0.0.0.0'", "API keys would travel in clear"),
            ("[operations]\nhost = '0.0.0.0'", "it has no authentication"),
            (
                "[lead_models.demo]\nbrand = 'x'\nhalf_life_s = 1",
                "sceau.toml: lead_models.demo: half_life_s is out of range",
            ),
            ("[[lead_models.demo.questions]]\nid = 'q'", "sceau.toml: lead_models.demo: questions[0] is out of range"),
            ("[lead_models.demo.dormancy]\nafter_days = 30", "sceau.toml: lead_models.demo: dormancy is out of range"),
            ("[lead_models.demo.dormancy]\nmost = 2", "lead_models.demo.dormancy.after_days: is required"),
            ("[lead_models.demo]\nquestion = []", "sceau.toml: lead_models.demo.question: there is no such setting"),
            ("[lanes\n", "is not valid TOML at line"),
            ("x = ", "is not valid TOML at"),
        ],
    )
    def test_a_wrong_file_is_explained(self, file: Path, text: str, says: str) -> None:
        assert says in refusal(added(file, text))

    def test_all_faults_are_told_at_once(self, file: Path) -> None:
        said = refusal(added(file, "[http]\nport = -1\n[operations]\nport = 'x'\n"))
        assert said.count("\n") == 2

    def test_a_variable_that_is_no_setting_is_refused(self, file: Path) -> None:
        assert "SCEAU_HTPP__PORT: there is no such setting" in refusal(file, {"SCEAU_HTPP__PORT": "1"})

    def test_a_fault_in_a_variable_names_the_variable(self, file: Path) -> None:
        said = refusal(file, {"SCEAU_HTTP__PORT": CANARY})
        assert said.splitlines()[1].strip().startswith("SCEAU_HTTP__PORT: should be a valid integer")

    def test_a_secret_given_twice_is_refused(self, file: Path, tmp_path: Path) -> None:
        name = "SCEAU_ACCOUNTS__ORANGE__BINDS__MAIN__PASSWORD"
        assert "also given by" in refusal(file, {name: "x", f"{name}_FILE": str(tmp_path / "none")})

    @pytest.mark.parametrize("password", ["", "x" * 65, "é", "a\0b"])
    def test_a_password_that_smpp_cannot_carry_is_refused_without_being_shown(self, file: Path, password: str) -> None:
        said = refusal(file, {"SCEAU_ACCOUNTS__ORANGE__BINDS__MAIN__PASSWORD": password})
        assert "PASSWORD: must" in said

    @pytest.mark.parametrize(
        ("setting", "text"),
        [("SERVICE_TYPE", "é"), ("SERVICE_TYPE", "A\0B"), ("SYSTEM_TYPE", "Δ"), ("BINDS__MAIN__SYSTEM_TYPE", "a\nb")],
    )
    def test_a_type_that_smpp_cannot_carry_is_refused(self, file: Path, setting: str, text: str) -> None:
        name = f"SCEAU_ACCOUNTS__ORANGE__{setting}"
        assert f"{name}: should be of printable ASCII characters" in refusal(file, {name: text})
        assert load(file, {name: "WAP 1"})

    def test_every_sender_that_the_settings_take_can_be_written(self) -> None:
        for character in filter(str.isprintable, map(chr, range(0x500))):
            try:
                read = settings(senders={"x": {"address": f"A{character}A", "accounts": ["orange"]}})
            except ValueError:
                continue
            assert router_of(read).form("orange", "x")

    def test_a_missing_file_is_named(self, tmp_path: Path) -> None:
        assert "there is no settings file" in refusal(tmp_path / "none.toml")

    def test_a_database_url_of_another_kind_is_refused_without_its_password(self, file: Path) -> None:
        said = refusal(file, {"SCEAU_DATABASE_URL": f"mysql://root:{CANARY}@localhost/x"})
        assert "SCEAU_DATABASE_URL: must start with sqlite:/// or postgresql://" in said

    def test_two_numbers_cannot_claim_the_same_keyword(self) -> None:
        number = {"address": "38012", "application": "a", "accounts": ("orange",), "keywords": ("Vote",)}
        with pytest.raises(ValueError, match="claim the same address and keyword"):
            settings(numbers={"one": number, "two": {**number, "keywords": ("VOTE",)}})
        assert settings(numbers={"one": number, "two": {**number, "keywords": ()}})

    def test_production_refuses_simulators_and_loopback_webhooks(self) -> None:
        with pytest.raises(ValueError, match="is a simulator"):
            settings(account(kind="simulator"), environment="production")
        with pytest.raises(ValueError, match="allow_loopback"):
            settings(environment="production", webhooks={"allow_loopback": True})
        assert settings(environment="production")


class TestPlaintext:
    """S27: an SMPP password travels in clear only where somebody said so."""

    def bind(self, **fields: Any) -> Account:
        return Account.model_validate({"name": "orange", "binds": {"main": {**BIND, **fields}}})

    @pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.8.8.8"])
    def test_loopback_needs_no_tls(self, host: str) -> None:
        assert is_loopback(host)
        assert self.bind(host=host)

    @pytest.mark.parametrize("host", ["smsc.example", "10.0.0.1", "localhost.example", "::ffff:10.0.0.1"])
    def test_another_host_needs_tls_or_the_flag(self, host: str) -> None:
        with pytest.raises(ValueError, match="would travel in clear"):
            self.bind(host=host)
        assert self.bind(host=host, tls=True).binds[0].tls is not None
        assert self.bind(host=host, tls={"minimum": "1.3"}).binds[0].tls is not None
        assert self.bind(host=host, insecure=True).binds[0].tls is None
        with pytest.raises(ValueError, match="would travel in clear"):
            self.bind(host=host, tls=False)

    def test_an_insecure_bind_is_warned_of(self) -> None:
        with_flag = settings(account(binds={"main": {**BIND, "host": "10.0.0.1", "insecure": True}}))
        assert any("travel in clear" in warning for warning in start_warnings(with_flag))

    @pytest.mark.parametrize("password", ["password", "CHANGEME", "sceau", "admin "])
    def test_a_factory_password_is_refused_away_from_this_machine(self, password: str) -> None:
        """S26: default passwords are refused."""
        with pytest.raises(ValueError, match="factory default"):
            self.bind(host="smsc.example", tls=True, password=password)
        assert self.bind(password=password)


class TestAddresses:
    """Senders and numbers, and the octets they become on an account."""

    @pytest.mark.parametrize(
        ("address", "kind"),
        [
            ("Sceau", "alphanumeric"),
            ("SCEAU INFO!", "alphanumeric"),
            ("Café", "alphanumeric"),
            ("1 a", "alphanumeric"),
            ("38012", "short"),
            ("123", "short"),
            ("+33612345678", "long"),
            ("+12025550100", "long"),
        ],
    )
    def test_the_form_of_an_address_is_told(self, address: str, kind: str) -> None:
        assert address_kind(address) == kind

    @pytest.mark.parametrize(
        "address",
        ["", "TwelveLetter", "`tick`", "naïve", "[brackets]", "€uro", " lead", "12", "0612345678", "33612345678",
         "+0612345678", "+1234567890123456", "!!!", "٣٨٠١٢", "a\nb", "ΔELTA", "Σ1"],
    )  # fmt: skip
    def test_an_impossible_sender_is_refused(self, address: str) -> None:
        """F1: more than 11 characters or characters that GSM or the wire does not have."""
        with pytest.raises(ValueError, match=r"sender has|write a long number"):
            address_kind(address)

    @pytest.mark.parametrize(
        ("address", "expected"),
        [
            ("Sceau", Provisioned("Sceau", 5, 0)),
            ("38012", Provisioned("38012", 3, 0)),
            ("+33612345678", Provisioned("33612345678", 1, 1)),
        ],
    )
    def test_the_usual_ton_and_npi_follow_from_the_form(self, address: str, expected: Provisioned) -> None:
        """F3, F4: TON/NPI by form, the plus sign stripped."""
        read = settings(senders={"x": {"address": address, "accounts": ["orange"]}})
        assert read.senders[0].provisioned(read.accounts[0]) == expected

    def test_an_account_and_a_form_may_want_others(self) -> None:
        """F4: overrides by account, then by provisioned form."""
        read = settings(
            account(ton_npi={"short": {"ton": 0, "npi": 1}}, strip_plus=False),
            senders={
                "a": {"address": "38012", "accounts": ["orange"]},
                "b": {"address": "+33612345678", "accounts": {"orange": {"npi": 0}}},
                "c": {"address": "Sceau", "accounts": {"orange": {"address": "38012", "ton": 6}}},
            },
        )
        forms = [sender.provisioned(read.accounts[0]) for sender in read.senders]
        assert forms == [Provisioned("38012", 0, 1), Provisioned("+33612345678", 1, 0), Provisioned("38012", 6, 1)]

    def test_an_account_that_does_not_carry_a_sender_has_no_form_of_it(self) -> None:
        read = settings(account("orange"), account("sfr"), senders={"x": {"address": "38012", "accounts": ["sfr"]}})
        assert read.senders[0].provisioned(read.account("orange")) is None


class TestWarnings:
    """What starts, with a word."""

    def test_sound_settings_raise_none(self, file: Path) -> None:
        assert start_warnings(load(file, {})) == ()

    @pytest.mark.parametrize(
        ("sections", "says"),
        [
            ({"senders": {"x": {"address": "+33612345678", "accounts": ["orange"]}}}, "06 and 07"),
            (
                {"senders": {"x": {"address": "Sceau", "accounts": {"orange": {"address": "+33712345678"}}}}},
                "06 and 07",
            ),
            ({"operations": {"host": "0.0.0.0", "exposed": True}}, "without authentication"),
            ({"senders": {}}, "there are no senders"),
        ],
    )
    def test_a_risky_setting_is_told(self, sections: dict[str, Any], says: str) -> None:
        assert any(says in warning for warning in start_warnings(settings(**sections)))

    def test_no_accounts_are_told(self) -> None:
        assert any("nothing can be sent" in warning for warning in start_warnings(Settings()))

    def test_an_account_or_sender_without_a_route_is_told(self) -> None:
        read = settings(
            account("orange"),
            account("sfr"),
            senders={"x": {"address": "38012", "accounts": ["sfr"]}},
            routes={"all": {"accounts": ["orange"]}},
        )
        said = start_warnings(read)
        assert "accounts.sfr: no route leads to it" in said
        assert "senders.x: no route leads to an account that carries it" in said

    def test_a_sender_behind_a_general_one_is_told(self) -> None:
        sender = {"address": "38012", "accounts": ["orange"]}
        said = start_warnings(settings(senders={"all": sender, "codes": {**sender, "lane": "otp"}}))
        assert any(warning.startswith("senders.codes") for warning in said)
        said = start_warnings(settings(senders={"codes": {**sender, "lane": "otp"}, "all": sender}))
        assert not any(warning.startswith("senders") for warning in said)

    def test_lanes_without_a_bind_and_accounts_without_ears_are_told(self) -> None:
        only_otp = settings(account(binds={"main": {**BIND, "mode": "TX", "dedicated_lane": "otp"}}))
        said = " ".join(start_warnings(only_otp))
        assert "another lane than bulk" in said
        assert "no RX or TRX bind" in said

    def test_a_lane_cannot_be_dedicated_to_a_bind_that_sends_nothing(self) -> None:
        with pytest.raises(ValueError, match="sends nothing"):
            settings(account(binds={"main": {**BIND, "mode": "RX", "dedicated_lane": "otp"}}))


class TestShowing:
    """S26: no secret in anything that is printed."""

    def test_masked_settings_hold_no_secret_and_can_be_written_as_json(self, file: Path) -> None:
        read = load(file, {"SCEAU_DATABASE_URL": f"postgresql://u:{CANARY}@localhost/x"})
        shown = json.dumps(read.masked())
        assert CANARY not in shown
        assert read.masked()["accounts"]["orange"]["binds"]["main"]["password"] == "**********"
        assert CANARY in read.store_url

    def test_the_representation_holds_no_secret(self, file: Path) -> None:
        assert CANARY not in repr(load(file, {}))

    def test_masked_settings_say_everything_that_was_read(self, file: Path) -> None:
        masked = load(file, {}).masked()
        masked["accounts"]["orange"]["binds"]["main"]["password"] = CANARY
        assert Settings(**masked) == load(file, {})


def test_a_model_of_leads_is_written_in_the_file_as_it_is_sent_to_the_api(file: Path) -> None:
    """Issue 5: models, questions and sequences are validated data, in `sceau.toml` or by the API."""
    model = Model.load("demo", load(added(file, LEAD_MODEL), {}).lead_models[0].given())
    assert [one.id for one in model.questions] == ["size"]
    assert (model.questions[0].points, model.weights["need"], model.brand) == ({"A": 1, "B": 5}, 2.0, "Boutique")
    assert model.dormancy == Dormancy(90, most=2)
    assert load(file, {"SCEAU_LEAD_MODELS__DEMO__BRAND": "Atelier"}).lead_models[0].brand == "Atelier"


def test_statuses_are_overridden_by_number() -> None:
    read = settings(account(status_overrides={"0x45": "temporary", "1029": "permanent"}))
    assert read.accounts[0].dispositions == {0x45: Disposition.TMP, 1029: Disposition.PERM}


def test_an_account_knows_its_version_and_sessions() -> None:
    binds = {"tx": {**BIND, "mode": "TX", "sessions": 2}, "rx": {**BIND, "mode": "RX"}}
    read = Account.model_validate({"name": "x", "binds": binds, "interface_version": "5.0"})
    assert (read.interface_octet, read.assumed_octet, read.sessions) == (0x50, 0x33, 3)
    assert [(bind.sends, bind.receives) for bind in read.binds] == [(True, False), (False, True)]


# Settings whose reader does not write their name: a property of their section stands between, or the table of classes.
READ_AS = {
    "environment": r"settings\.environment\b",
    "data_dir": r"\.store_url\b",
    "database_url": r"\.store_url\b",
    "keyring_path": r"\.keyring_file\b",
    "accounts.interface_version": r"\.interface_octet\b",
    "accounts.assumed_version": r"\.assumed_octet\b",
    "accounts.status_overrides": r"\.dispositions\b",
    "accounts.ton_npi.alphanumeric": r"\.provisioned\(",
    "accounts.ton_npi.short": r"\.provisioned\(",
    "accounts.ton_npi.long": r"\.provisioned\(",
    "senders.accounts.address": r"\.provisioned\(",
    "senders.accounts.ton": r"\.provisioned\(",
    "senders.accounts.npi": r"\.provisioned\(",
    "accounts.binds.insecure": r"start_warnings\(",
    **{
        f"lead_models.{one}": r"\.given\(\)"
        for one in (
            "questions",
            "fields",
            "events",
            "sequences",
            "weights",
            "half_life_s",
            "silence_s",
            "brand",
            "sender",
            "dormancy.after_days",
            "dormancy.most",
            "dormancy.consent_days",
        )
    },
    "classes.resends": r"(?<!def )overridden\(",
    "classes.hold_s": r"(?<!def )overridden\(",
    "classes.least_life_s": r"(?<!def )overridden\(",
}


def test_every_setting_is_read_outside_the_settings_themselves() -> None:
    files = [path for path in Path(engine.__file__).parent.rglob("*.py") if not path.name.startswith("settings")]
    source = "\n".join(path.read_text() for path in files)
    signs = {leaf: READ_AS.get(leaf, rf"\.{leaf.rpartition('.')[2]}\b") for leaf in leaves()}
    assert set(READ_AS) <= set(signs)
    assert [leaf for leaf, sign in signs.items() if not re.search(sign, source)] == []


def test_what_a_peer_without_a_version_is_taken_for_reaches_its_session() -> None:
    for said, octet in (("3.3", 0x33), ("3.4", 0x34), ("5.0", 0x50)):
        one = settings(account(assumed_version=said)).account("orange")
        assert session_options(one, one.binds[0]).assumed_version == octet


async def test_a_bind_connects_from_the_address_that_its_settings_name() -> None:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listener.socket.getsockname()[1]
    bind = {**BIND, "port": port, "local_address": "127.0.0.2"}
    one = settings(account(binds={"main": bind})).account("orange")
    async with listener, await connector(one.binds[0], one)(), await listener.accept() as accepted:
        assert accepted.socket.getpeername()[0] == "127.0.0.2"
