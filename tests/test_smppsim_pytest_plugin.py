"""smppsim.pytest_plugin, as a project that tests its own client sees it: pytest runs in a process of its own."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from docs.generate import FOLDER

pytestmark = pytest.mark.real

pytest_plugins = ("pytester",)

PLAIN = ("-p", "smppsim.pytest_plugin", "-W", "error", "--strict-markers", "-q")
WITH_TRIO = ("-p", "pytest_trio.plugin", *PLAIN)
DEADLINE_S = 120

CLIENT = """
import pytest
import smpplib.client


@pytest.fixture
def client(smppsim):
    client = smpplib.client.Client(smppsim.host, smppsim.port, timeout=20, allow_unknown_opt_params=True)
    client.connect()
    client.bind_transceiver(system_id=smppsim.system_id, password=smppsim.password)
    yield client
    client.disconnect()
"""


@pytest.fixture(autouse=True)
def _nothing_but_what_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the plugins that a test names, however many are installed."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")


def run(pytester: pytest.Pytester, options: tuple[str, ...], **files: str) -> pytest.RunResult:
    pytester.makepyfile(**files)
    return pytester.runpytest_subprocess(*options, timeout=DEADLINE_S)


def test_a_project_without_trio_tests_its_blocking_client(pytester: pytest.Pytester) -> None:
    test = """
        def test_it_sends_a_code(smppsim, client):
            client.send_message(
                source_addr="38200", destination_addr="33612345600", short_message=b"code 482913", registered_delivery=1
            )
            assert smppsim.wait_submit().text == "code 482913"
            assert smppsim.handset("+33612345600").wait_code() == "482913"

        def test_each_test_has_an_operator_of_its_own(smppsim, client):
            assert smppsim.submits() == []
            assert len(smppsim.wait_bound()) == 1

        def test_trio_is_not_loaded_as_a_plugin(pytestconfig):
            assert not pytestconfig.pluginmanager.hasplugin("pytest_trio.plugin")
    """
    result = run(pytester, (*PLAIN, "-rP"), conftest=CLIENT, test_it=test)
    result.assert_outcomes(passed=3)
    assert "smppsim on port" not in result.stdout.str(), "only failures tell what was seen"


def test_a_project_with_pytest_trio_awaits(pytester: pytest.Pytester) -> None:
    test = """
        import trio
        from engine.smpp.pdu import BindTransceiver, encode

        async def test_it_binds(smppsim):
            stream = await trio.open_tcp_stream(smppsim.host, smppsim.port)
            await stream.send_all(encode(BindTransceiver(b"demo", b"demo"), 1))
            assert (await smppsim.wait_bound.trio())[0].account == "demo"
            await stream.aclose()

        def test_blocking_calls_work_beside_it(smppsim):
            assert smppsim.sessions() == []
    """
    ini = "[pytest]\ntrio_mode = true\n"
    pytester.makeini(ini)
    run(pytester, WITH_TRIO, test_it=test).assert_outcomes(passed=2)


def test_a_module_may_play_a_scenario_of_its_own_and_start_several_operators(pytester: pytest.Pytester) -> None:
    test = """
        import pytest

        @pytest.fixture
        def smppsim_scenario():
            return {"accounts": [{"system_id": "mine", "password": "secret08"}]}

        def test_one(smppsim):
            assert smppsim.system_id == "mine"

        def test_two(smppsim_factory, smppsim):
            other = smppsim_factory(seed=7, within_s=1)
            assert other.port != smppsim.port
            assert other.system_id == "demo"
    """
    run(pytester, PLAIN, test_it=test).assert_outcomes(passed=2)


def test_a_failing_test_shows_what_the_operator_saw(pytester: pytest.Pytester) -> None:
    test = """
        def test_fails_by_itself(smppsim, client):
            assert client is None

        def test_waits_for_nothing(smppsim, client):
            smppsim.wait_submit(within_s=0.05)
    """
    result = run(pytester, PLAIN, conftest=CLIENT, test_it=test)
    result.assert_outcomes(failed=2)
    shown = result.stdout.str()
    own, waited = shown.split("test_waits_for_nothing", 1)
    assert "smppsim on port" in own
    assert "<- bind_transceiver" in own
    assert "waited 0.05 s for the next submit_sm" in waited
    assert "smppsim on port" not in waited, "it is shown once"
    assert "trio.from_thread" not in waited, "the frames of the simulator stay out of it"


def test_a_simulator_that_breaks_is_an_error_of_the_test_and_not_of_pytest(pytester: pytest.Pytester) -> None:
    test = """
        def test_it(smppsim):
            smppsim.wait_until(lambda simulator: not simulator.smsc.agenda.at(0, lambda argument, now: 1 / 0, None))
            smppsim.drop()
            smppsim.thread.stop()
    """
    result = run(pytester, PLAIN, test_it=test)
    result.assert_outcomes(failed=1, errors=1)
    assert "the simulator has failed" in result.stdout.str()
    assert "ZeroDivisionError" in result.stdout.str()
    assert "INTERNALERROR" not in result.stdout.str()


def test_a_project_that_does_not_use_it_pays_nothing(pytester: pytest.Pytester) -> None:
    test = """
        import sys

        def test_nothing_is_imported():
            assert not {"trio", "pydantic", "smppsim.simulator", "engine.smpp.pdu"} & set(sys.modules)
    """
    run(pytester, PLAIN, test_it=test).assert_outcomes(passed=1)


def test_its_fixtures_are_documented(pytester: pytest.Pytester) -> None:
    listed = pytester.runpytest_subprocess(*PLAIN, "--fixtures", timeout=DEADLINE_S).stdout.str()
    for name in ("smppsim", "smppsim_factory", "smppsim_scenario"):
        found = re.search(rf"^{name} -- .*\n    \S", listed, re.MULTILINE)
        assert found, f"{name} has no docstring"


def test_the_package_announces_it() -> None:
    project = (FOLDER.parent / "pyproject.toml").read_text()
    assert '[project.entry-points.pytest11]\nsmppsim = "smppsim.pytest_plugin"\n' in project


def test_the_tests_that_the_page_shows_pass(pytester: pytest.Pytester) -> None:
    page = (FOLDER / "simulator.md").read_text()
    shown = re.findall(r"```python\n(.*?)```", page[page.index("## For test authors") :], re.DOTALL)
    assert len(shown) >= 3
    files = {f"test_shown_{number}": code for number, code in enumerate(shown)}
    pytester.makeini("[pytest]\ntrio_mode = true\n")
    result = run(pytester, WITH_TRIO, conftest=CLIENT, **files)
    outcomes = result.parseoutcomes()
    assert set(outcomes) == {"passed"}
    assert outcomes["passed"] >= len(shown)


def test_an_operator_is_held_without_pytest_too() -> None:
    program = "from smppsim.testing import Operator\nwith Operator() as operator: print(operator.sessions())"
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, timeout=DEADLINE_S, check=False
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "[]\n", "")
