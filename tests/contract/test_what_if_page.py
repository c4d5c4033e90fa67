"""`kedro what-if`, which `make what-if` calls, in a real browser over a real served model."""

import contextlib
import re
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import Browsed, browser
from playwright.sync_api import Page, expect
from servers import served
from tests_project import ROOT, Project, hear_hangups

from vidpop_pipelines.what_if.client import ModelClient

pytestmark = pytest.mark.slow

THUMBNAIL = ROOT / "data/01_raw/sample/thumbnails/sample_00001.jpg"
# By their order on the page.
FORECAST, SWEEP, EFFECTS = range(3)
SHOWN = """(Array.from(document.querySelectorAll('.js-plotly-plot')).map(figure => figure.data.map(
    trace => String(trace.x) + String(trace.y))).join() + Array.from(document.querySelectorAll('[role=alert]')).map(
    alert => alert.innerText).join())"""
PATIENCE = 60_000  # milliseconds; other tests keep the cores busy


@contextlib.contextmanager
def shown(
    project: Project, family: str, *arguments: str, ending: signal.Signals = signal.SIGTERM
) -> Iterator[tuple[str, Path]]:
    """Shows a page as a user does; at the end it is sent a signal and must end well.

    Yields:
        Its address, and the file to which the command writes.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url, log = f"http://127.0.0.1:{port}", project.path / f"what_if.{port}.log"
    command = project.command(
        "what-if", f"--family={family}", "--version=latest", f"--port={port}", *arguments
    )
    with open(log, "w") as output:
        process = subprocess.Popen(
            command,
            cwd=project.path,
            env=project.environment(),
            stdout=output,
            stderr=output,
            preexec_fn=hear_hangups,
        )
    try:
        for _ in range(240):
            assert process.poll() is None, log.read_text()
            with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5):
                break
            time.sleep(0.5)
        yield url, log
    finally:
        process.send_signal(ending)
        status = process.wait(60)
    assert status == 0 and "Traceback" not in log.read_text()
    with pytest.raises(OSError):
        urllib.request.urlopen(url, timeout=5)


def open_page(browsed: Browsed, url: str) -> Page:
    browsed.page.goto(url)
    expect(browsed.page.get_by_role("heading", name="What drives it")).to_be_visible(timeout=PATIENCE)
    settle(browsed.page)
    return browsed.page


def settle(page: Page) -> None:
    """Waits until Streamlit has run the page, and Plotly has drawn its figures."""
    expect(page.get_by_test_id("stApp")).to_have_attribute(
        "data-test-script-state", "notRunning", timeout=PATIENCE
    )
    expect(page.get_by_test_id("stSkeleton")).to_have_count(0, timeout=PATIENCE)
    page.wait_for_function(
        """document.querySelectorAll('[data-testid=stPlotlyChart]').length
            == document.querySelectorAll('.js-plotly-plot .main-svg:first-child').length""",
        timeout=PATIENCE,
    )
    page.wait_for_timeout(300)


@contextlib.contextmanager
def changed(page: Page) -> Iterator[None]:
    """Waits for the page to change by what is done meanwhile, which every input here must bring about."""
    before = page.evaluate(SHOWN)
    yield
    page.wait_for_function(f"before => {SHOWN} != before", arg=before, timeout=PATIENCE)
    settle(page)


def enter(page: Page, label: str, value: str) -> None:
    with changed(page):
        field = page.get_by_label(label, exact=True)
        field.fill(value)
        field.press("Enter")


def drawn(page: Page, figure: int) -> dict[str, list]:
    """Returns what the browser has drawn: the numbers of each trace of a figure, by the trace's name."""
    return page.evaluate(
        """number => Object.fromEntries(document.querySelectorAll('.js-plotly-plot')[number].data.map(
            trace => [trace.name ?? 'bars', Array.from(trace.customdata ?? trace.y)]))""",
        figure,
    )


@pytest.mark.parametrize("name", ["smtpd_ep"])
def test_form_curve_and_refusal(name, run_once, tmp_path):
    project = run_once(name).project
    # As if its terminal were closed.
    with shown(project, name, ending=signal.SIGHUP) as (url, log), browser() as browsed:
        page = open_page(browsed, url)
        first = drawn(page, FORECAST)
        assert len(first["forecast"]) == 29 and first["entered"] == [1000] and "before" not in first
        assert all(
            low <= views <= high
            for low, views, high in zip(first["lower end"], first["forecast"], first["interval"], strict=True)
        )

        enter(page, "Title", "How to bake bread")
        enter(page, "Tags", "bread, baking")
        enter(page, "Duration (seconds)", "300")
        enter(page, "Channel: followers", "12000")
        with changed(page):
            page.get_by_role("combobox", name="Category").fill("Howto")
            page.get_by_role("option", name="Howto & Style").click()
        without_thumbnail = drawn(page, FORECAST)
        with changed(page):
            page.locator("input[type=file]").set_input_files(THUMBNAIL)
        with_thumbnail = drawn(page, FORECAST)
        assert with_thumbnail["forecast"] != without_thumbnail["forecast"] != first["forecast"]
        assert with_thumbnail["before"] == without_thumbnail["forecast"]
        assert set(drawn(page, EFFECTS)["bars"]) == {
            "Title",
            "Tags",
            "Category",
            "Duration (seconds)",
            "Channel: followers",
            "Thumbnail",
            "Views on day 1 (against half)",
        }

        enter(page, "Views on day 1 *", "50000")
        more = drawn(page, FORECAST)
        assert more["forecast"][-1] > with_thumbnail["forecast"][-1]
        sweep = drawn(page, SWEEP)
        assert len(sweep["forecast"]) == 26 and sweep["entered"] == [
            pytest.approx(more["forecast"][-1], rel=1e-3)
        ]

        broken = tmp_path / "broken.jpg"
        broken.write_text("no picture")
        with changed(page):
            page.locator("input[type=file]").set_input_files(broken)
        expect(page.get_by_test_id("stSidebar").get_by_role("alert")).to_have_text(
            "cannot be decoded: not a known picture format. Expected: a picture."
        )
        expect(page.get_by_test_id("stMain").get_by_role("alert")).to_contain_text(
            "The model does not accept Thumbnail"
        )
        large = tmp_path / "large.jpg"
        large.write_bytes(bytes(2_200_000))
        page.locator("input[type=file]").set_input_files(large)
        expect(page.get_by_text("File must be 2.0MB or smaller")).to_be_visible(timeout=PATIENCE)
        assert browsed.foreign == [] and browsed.errors == []
        assert "the page is on" in log.read_text()
        server = re.search(r"--host 127\.0\.0\.1 --port (\d+)", log.read_text()).group(1)
        assert ModelClient(f"http://127.0.0.1:{server}").is_ready()
    assert not ModelClient(f"http://127.0.0.1:{server}").is_ready()


@pytest.mark.parametrize("name", ["ensemble"])
def test_page_over_a_running_server_on_a_phone(name, run_once):
    project = run_once(name).project
    with served(project, ["-m", "kedro", "serve", f"--family={name}", "--version=latest"]) as ask:
        log = max(project.path.glob("server.*.log"), key=lambda path: path.stat().st_mtime)
        address = f"http://127.0.0.1:{log.suffixes[0][1:]}"
        with shown(project, name, f"--url={address}") as (url, _), browser(width=390) as browsed:
            page = open_page(browsed, url)
            empty = page.get_by_test_id("stMetric").inner_text()
            page.get_by_test_id("stExpandSidebarButton").click()
            enter(page, "Channel: videos", "2000")
            assert page.get_by_test_id("stMetric").inner_text() != empty
            enter(page, "Duration (seconds)", "-600")
            expect(page.get_by_test_id("stSidebar").get_by_role("alert")).to_have_text(
                "got -600.0. Expected: a finite number, zero or more"
            )
            assert browsed.foreign == [] and browsed.errors == []
            widths = page.evaluate("[document.body.scrollWidth, window.innerWidth]")
            assert widths[0] <= widths[1]
        assert ask([{"title": "still served"}])[0] == 200


@pytest.mark.parametrize("name", ["mofa_lite"])
def test_family_without_a_form_has_no_page(name, run_once):
    project = run_once(name).project
    refused = project.kedro("what-if", f"--family={name}", "--version=latest", check=False)
    assert refused.returncode and "Traceback" not in refused.stderr
    assert "smtpd_ep, smtpd_no_ep, ensemble or multitask" in refused.stderr
