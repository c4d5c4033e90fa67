"""What the documentation names exists: commands with their parameters, make targets, files, links, anchors.

Commands are parsed by Kedro's own command line and checked by the project's own parameter check, but not run; that is
done by docs/run_commands.py (`make docs`).
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import click
import pytest
import run_commands
from documentation import (
    Command,
    anchors,
    code_blocks,
    commands,
    documents,
    inline_code,
    links,
    worked_example,
)
from kedro.config import OmegaConfigLoader
from tests_project import ROOT

from vidpop_pipelines.parameters import check_parameters
from vidpop_pipelines.pipeline_registry import register_pipelines
from vidpop_pipelines.settings import CONFIG_LOADER_ARGS

CONSOLE = [command for command in commands() if command.language == "console"]
PYTHON = [command for command in commands() if command.language == "python"]
PACKAGE = ROOT / "src/vidpop_pipelines"

# The family of the worked example, which tests/docs/test_worked_example.py runs.
EXAMPLE = "category_mean"
# Files that are named but are not ours: those of the original projects, of data sets, of users.
FOREIGN = re.compile(
    r"(main|train|test|train_timesformer|train_smolvlm|Feature_Analysis|model_update|predict)\.py|parameters\.yml|leaderboard\.md"
    r"|model_card\.md|conf/(local|<name>)/.*|conf/base/logging\.yml"
)


def name_of(command: Command) -> str:
    return f"{command.document}:{command.line}"


def kedro_commands() -> list:
    found = [command for command in CONSOLE if re.search(r"(^|-m |^[A-Z_]+=\S+ )kedro ", command.text)]
    return [pytest.param(command, id=name_of(command)) for command in found]


@cache
def kedro_cli() -> click.Group:
    from kedro.framework.cli.cli import KedroCLI

    return KedroCLI(project_path=ROOT)


@cache
def registered():
    return register_pipelines()


def parse(text: str) -> tuple[str, dict]:
    """Returns name and options of a kedro command, parsed by its own command line."""
    words = shlex.split(text, comments=True)
    words = words[words.index("kedro") + 1 :]
    command, context, names = kedro_cli(), click.Context(kedro_cli(), info_name="kedro"), []
    while isinstance(command, click.Group):
        names.append(words.pop(0))
        command = command.get_command(context, names[-1])
        if command is None:
            raise click.UsageError(f"kedro has no command {' '.join(names)}")
        context = click.Context(command, info_name=names[-1], parent=context)
    return " ".join(names), command.make_context(names[-1], words).params


@pytest.mark.parametrize("command", kedro_commands())
def test_kedro_command_is_accepted(command):
    if command.text.startswith("kedro ") and run_commands.why_not(command) and EXAMPLE not in command.text:
        pytest.skip(run_commands.why_not(command))  # of a plugin that is not installed
    name, options = parse(command.text)
    if options.get("env"):
        assert (ROOT / "conf" / options["env"]).is_dir()
    if name in ("serve", "what-if"):
        assert options["family"] in registered()
    if name != "run":
        return
    pipelines = [*(options["pipelines"] or []), *([options["pipeline"]] if options["pipeline"] else [])]
    assert set(pipelines) <= {*registered(), EXAMPLE}
    for pipeline in set(pipelines) - {EXAMPLE}:
        assert (
            registered()[pipeline].only_nodes_with_tags(*options["tags"]).nodes if options["tags"] else True
        )
    loader = OmegaConfigLoader(
        str(ROOT / "conf"),
        env=options["env"] or "base",
        runtime_params=options["params"],
        **CONFIG_LOADER_ARGS | {"default_run_env": "base"},
    )
    check_parameters(loader["parameters"])


def test_parameter_check_would_find_a_misspelt_one():
    _, options = parse('kedro run --pipeline=smtpd_ep --params="smtpd.cvs=/data/a.csv"')
    assert options["params"] == {"smtpd": {"cvs": "/data/a.csv"}}


@pytest.mark.parametrize("text", sorted({c.text for c in CONSOLE if c.text.startswith("make ")}))
def test_make_target_exists(text):
    words = shlex.split(text, comments=True)[1:]
    result = subprocess.run(["make", "-n", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_every_program_is_there_or_is_said_not_to_be_run():
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    for command in CONSOLE:
        words = [word for word in command.text.split() if not re.match(r"[A-Z_]+=", word)]
        assert shutil.which(words[0], path=path) or run_commands.why_not(command), name_of(command)


def test_every_entry_of_the_runner_is_needed():
    texts = [command.text for command in CONSOLE]
    for start in (*run_commands.NOT_RUN, *run_commands.SERVERS, *run_commands.BACKGROUND):
        assert any(text.startswith(start) for text in texts), start
    for piece in run_commands.REPLACED:
        assert any(piece in text for text in texts), piece


def test_runner_makes_a_run_small_and_takes_files_of_the_sample(tmp_path):
    text = 'kedro run --pipeline=smtpd_ep --params="smtpd.csv=/data/a.csv"  # remark'
    run = run_commands.as_run(Command("a.md", 1, text, 0), tmp_path, 1234)
    assert run == (
        'kedro run --pipeline=smtpd_ep --params="smtpd.training.epochs=2,smtpd.catboost.iterations=20,'
        f'smtpd.csv={tmp_path}/given/a.csv"'
    )


@pytest.mark.parametrize(
    ("name", "text"),
    [(name_of(command), command.text) for command in PYTHON]
    + [(block.comment, block.text) for block in worked_example() if block.language == "python"],
)
def test_python_compiles(name, text):
    compile(text, name, "exec")


def test_console_blocks_hold_commands():
    for path in documents():
        for block in code_blocks(path):
            where = f"{path}:{block.line}"
            assert block.text.startswith("$ ") == (block.language == "console"), where
            assert block.language or not block.text.startswith(("kedro ", "make ", "python ")), where


@pytest.mark.parametrize("path", documents(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(path):
    for link in links(path):
        if link.startswith(("http://", "https://")):
            continue
        file, _, anchor = link.partition("#")
        target = (path.parent / file).resolve() if file else path
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("path", documents(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_named_files_exist(path):
    """Code with the name of a Python, YAML or Markdown file, or of a folder of the project."""
    places = [path.parent, ROOT, PACKAGE, PACKAGE / "pipelines"]
    for line, text in inline_code(path):
        is_file = re.fullmatch(r"[\w./<>-]+\.(py|yml|md|ipynb)", text)
        is_folder = re.fullmatch(r"(src|docs|conf|tests|benchmarks|notebooks)/[\w./-]*", text)
        if (is_file or is_folder) and not FOREIGN.fullmatch(text):
            found = any((place / text).exists() for place in places) or any(
                PACKAGE.glob(f"pipelines/*/{text}")
            )
            assert found, f"{path}:{line}: {text}"


def test_readme_fits_on_two_screens():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 100
