"""The static site of kedro-viz, made to open without network and at a view that can be read."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

from vidpop_pipelines.errors import InputError

# With their datasets, all families together have 120 boxes side by side. One click on "Datasets" shows them.
_FIRST_VIEW = "?pid=__default__&types=nodes&expandAllPipelines=false"
_SCRIPT = f"""<script>
if (!location.search) history.replaceState(null, "", "{_FIRST_VIEW}");
</script>"""
# kedro-viz offers no setting for these; the page then uses the fonts of the machine.
_FROM_THE_NETWORK = re.compile(r'<link\b[^>]*\bhref="https?://[^>]*>\s*')


def build_site(project: Path) -> Path:
    """Builds the site of all registered pipelines, with previews of the data that is there.

    Args:
        project: The project's folder.

    Returns:
        Folder of the site, `build`, relative to the project. It wants a web server: browsers load no scripts of
        this kind from files.

    Raises:
        InputError: If kedro-viz could not build it.
    """
    site = Path("build")
    # Of pipelines that are no more.
    shutil.rmtree(project / site / "api", ignore_errors=True)
    command = [sys.executable, "-m", "kedro", "viz", "build", "--include-previews"]
    # Many lines about previews of what has not been run.
    result = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    # kedro-viz writes this file last, and ends with 0 in any case.
    if result.returncode or not (project / site / "api" / "deploy-viz-metadata").is_file():
        raise InputError(
            f"`kedro viz build` failed:\n{result.stdout}{result.stderr}".rstrip(), "a finished site in build/"
        )
    index = project / site / "index.html"
    page = _FROM_THE_NETWORK.sub("", index.read_text(encoding="utf-8"))
    index.write_text(page.replace("</head>", f"{_SCRIPT}\n</head>"), encoding="utf-8")
    return site
