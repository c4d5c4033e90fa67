"""The pages that a run leaves behind, in a real browser: kedro-viz's site, and the reports."""

import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from browser import Browsed, browser, open_file

from vidpop_pipelines.pipeline_registry import register_pipelines


class Silent(SimpleHTTPRequestHandler):
    def log_message(self, *arguments) -> None:
        pass


@pytest.fixture
def address() -> Iterator[Callable[[Path], str]]:
    """Returns a function that serves a folder on loopback, and says where."""
    servers = []

    def serve(folder: Path) -> str:
        server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Silent, directory=str(folder)))
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}/"

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


def boxes(browsed: Browsed, *expected: str) -> set[str]:
    """Returns the names in the graph, once the expected ones are there."""
    for name in expected:
        browsed.page.locator(".pipeline-node").get_by_text(name, exact=True).wait_for(state="attached")
    return set(browsed.page.locator(".pipeline-node").all_text_contents())


def click(browsed: Browsed, name: str) -> None:
    # Not at its place on the page: the tour that kedro-viz starts with lies over some boxes.
    browsed.page.locator(".pipeline-node").get_by_text(name, exact=True).dispatch_event("click")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ensemble"])
def test_lineage_opens_with_one_box_per_family_and_shows_layers_and_previews(name, run_once, address):
    run = run_once(name)
    printed = run.project.kedro("lineage").stdout
    assert "python -m http.server" in printed
    site = address(run.project.path / "build")
    with browser(1600, 1000) as browsed:
        browsed.page.goto(site)
        families = {node.namespace for node in register_pipelines()["__default__"].nodes}
        assert boxes(browsed, name, "comparison") == families
        click(browsed, name)
        assert boxes(browsed, "train_folds", "comparison") > families - {name}

        browsed.page.goto(f"{site}?pid=__default__&types=nodes,datasets&expandAllPipelines=false")
        boxes(browsed, name, f"{name}.predictions")
        layers = browsed.page.locator(".pipeline-layer-name").all_text_contents()
        expected = ["raw", "intermediate", "feature", "model_input", "models", "model_output", "reporting"]
        assert layers == expected

        browsed.page.goto(f"{site}?pid={name}&types=nodes,datasets&expandAllPipelines=false")
        assert len(boxes(browsed, name, f"{name}.report")) < 10
        click(browsed, name)
        boxes(browsed, f"{name}.residuals_figure")
        click(browsed, f"{name}.residuals_figure")
        browsed.page.locator(".pipeline-metadata .js-plotly-plot svg").first.wait_for()
        click(browsed, f"{name}.comparison")
        browsed.page.locator(".pipeline-metadata table").get_by_text("catboost").first.wait_for()
        assert browsed.foreign == []
        # kedro-viz asks each site for /api/metadata, which its static build does not have, and says so in the console.
        known = ("404 (File not found)", "metadata fetch error")
        assert [error for error in browsed.errors if not any(text in error for text in known)] == []


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ensemble"])
def test_reports_open_from_disk_and_draw_every_figure(name, run_once):
    run = run_once(name)
    run.project.run("comparison")
    for report in (name, "comparison"):
        with browser() as browsed:
            open_file(browsed, run.reporting.parent / report / "report.html")
            figures = browsed.page.locator(".js-plotly-plot")
            figures.locator("svg.main-svg").first.wait_for()
            drawn = figures.evaluate_all("all => all.filter(one => one.querySelector('svg.main-svg')).length")
            assert figures.count() == drawn >= 3
            assert browsed.page.locator("table").count() >= 2
            assert browsed.errors == []
            assert browsed.foreign == []
