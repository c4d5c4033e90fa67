"""Writes docs/parameters.md: every parameter, from the pydantic models (meaning, type) and from conf (values).

python docs/make_parameters.py
"""

import inspect
import re
import sys
import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from annotated_types import Ge, Gt, Le, Lt
from kedro.config import OmegaConfigLoader
from pydantic import BaseModel, BeforeValidator

from vidpop_pipelines.parameters import check_parameters
from vidpop_pipelines.settings import CONFIG_LOADER_ARGS
from vidpop_pipelines.training.options import TrainingOptions

ROOT = Path(__file__).parents[1]
TARGET = ROOT / "docs/parameters.md"
# Trees whose values stand side by side, because they have the same model.
_SIDE_BY_SIDE = [("smtpd_ep", "smtpd_no_ep"), ("timesformer", "smolvlm2")]
_SIGNS = {Gt: ">", Ge: "≥", Lt: "<", Le: "≤"}
_TYPES = {int: "integer", float: "number", bool: "true, false", str: "text", type(None): "null"}

_HEAD = """\
# Parameters

<!-- Written by `python docs/make_parameters.py`; a test fails when it is out of date. -->

Every parameter, with its value in `base` (what runs by default) and, after "paper:", what `--env=paper` changes it to.
Give any of them at the command line,

```console
$ kedro run --pipeline=smtpd_ep --params="smtpd.fold=all,smtpd.training.epochs=5"
```

or in a file `conf/local/parameters.yml` (read when no `--env` is given), or in an environment of your own,
`conf/<name>/parameters.yml` with `--env=<name>`. A list in `--params` is written with plus signs
(`smtpd.modalities=visual+text`) where the type says so; other lists and mappings go into a file. An unknown name, or a
value that is not allowed, is an error before any work. Meanings come from the docstrings of the parameter models;
reasons for values are comments in `conf/`.
"""


@dataclass(frozen=True)
class Row:
    """A parameter, or a group of them that a table of its own describes.

    Attributes:
        name: Dotted name, below the tree.
        allowed: Type and limits.
        meaning: Its description.
        values: Value per tree, as shown.
    """

    name: str
    allowed: str
    meaning: str
    values: dict[str, str] = field(default_factory=dict)


def load(environment: str) -> BaseModel:
    """Returns the validated parameter tree of an environment, without anybody's conf/local."""
    arguments = CONFIG_LOADER_ARGS | {"default_run_env": "base"}
    return check_parameters(OmegaConfigLoader(str(ROOT / "conf"), env=environment, **arguments)["parameters"])


def describe(model: type[BaseModel]) -> dict[str, str]:
    """Returns the meaning of each field, from the sections `Attributes` or `Args` of the docstrings."""
    meanings: dict[str, str] = {}
    for cls in reversed(model.__mro__):
        text = inspect.cleandoc(cls.__doc__ or "") if issubclass(cls, BaseModel) else ""
        section = re.search(r"^(?:Attributes|Args):\n((?:    .*\n?|\n)+)", text, re.MULTILINE)
        entries = re.split(r"^    (?=\w)", section[1], flags=re.MULTILINE) if section else []
        for entry in filter(None, entries):
            names, _, meaning = entry.partition(": ")
            meaning = " ".join(meaning.split()).replace("``", "`").replace("|", "\\|")
            meanings |= dict.fromkeys(names.split(", "), meaning)
    return {name: meaning for name, meaning in meanings.items() if name in model.model_fields}


def _nested(annotation: object) -> tuple[type[BaseModel] | None, list[str]]:
    """Returns the model that a field holds, and the keys if it holds one under each of several."""
    if typing.get_origin(annotation) is dict:
        keys, value = typing.get_args(annotation)
        if isinstance(value, type) and issubclass(value, BaseModel):
            return value, list(typing.get_args(keys))
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, []
    return None, []


def _allowed(annotation: object, limits: list) -> str:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return _allowed(arguments[0], list(arguments[1:]))
    if origin is typing.Literal:
        return ", ".join(f"`{value}`" for value in arguments)
    if origin in (typing.Union, types.UnionType):
        return ", ".join(_allowed(one, limits if one is not type(None) else []) for one in arguments)
    if origin is list:
        plus = any(isinstance(limit, BeforeValidator) for limit in limits)
        return f"list of {_allowed(arguments[0], [])}{' (`a+b`)' if plus else ''}"
    if origin is dict:
        return f"mapping of {_allowed(arguments[0], [])} to {_allowed(arguments[1], [])}"
    flat = [part for limit in limits for part in getattr(limit, "metadata", [limit])]
    signs = [
        f"{_SIGNS[type(one)]} {getattr(one, type(one).__name__.lower()):g}"
        for one in flat
        if type(one) in _SIGNS
    ]
    return " ".join([_TYPES[annotation], ", ".join(signs)]).strip()


def _show(value: object) -> str:
    return yaml.safe_dump(value, default_flow_style=True, width=1000).removesuffix("...\n").strip()


def _value(base: BaseModel, paper: BaseModel, path: str) -> str:
    def reach(tree: object) -> object:
        for part in path.split("."):
            tree = tree[part] if isinstance(tree, dict) else getattr(tree, part)
        return tree

    ours, published = reach(base), reach(paper)
    text = f"`{_show(ours)}`"
    return text if ours == published else f"{text}; paper: `{_show(published)}`"


class Tables:
    """Collects the tables while it walks through the tree; the options of training get one for all families."""

    def __init__(self) -> None:
        self.base, self.paper = load("base"), load("paper")
        self.trainings: list[str] = []
        self.missing: list[str] = []

    def rows(self, model: type[BaseModel], trees: list[str], prefix: str = "") -> Iterator[Row]:
        """Yields the parameters of a model that stands at one or more places of the tree."""
        meanings = describe(model)
        for name, info in model.model_fields.items():
            nested, keys = _nested(info.annotation)
            path = f"{prefix}{name}"
            if nested is TrainingOptions:
                self.trainings += [f"{tree}.{path}" for tree in trees]
                yield Row(f"{path}.*", "", "How to train: see [training](#training).")
            elif nested and keys:
                yield Row(
                    f"{path}.*", "", f"{meanings[name]} See [{path}](#{_anchor(f'{trees[0]}.{path}')})."
                )
            elif nested:
                yield from self.rows(nested, trees, f"{path}.")
            else:
                if not meanings.get(name):
                    self.missing.append(f"{model.__module__}.{model.__qualname__}.{name}")
                values = {tree: _value(self.base, self.paper, f"{tree}.{path}") for tree in trees}
                allowed = _allowed(info.annotation, info.metadata)
                yield Row(path, allowed, meanings.get(name, ""), values)

    def section(self, title: str, model: type[BaseModel], trees: list[str]) -> str:
        """Returns heading and table; one column of values per tree."""
        rows = list(self.rows(model, trees))
        headers = [f"`{tree}`" for tree in trees] if len(trees) > 1 else ["value"]
        prefix = f"{trees[0]}." if len(trees) == 1 else ""
        lines = [f"## {title}", "", f"| parameter | {' | '.join(headers)} | allowed | meaning |"]
        lines.append("|---" * (len(headers) + 3) + "|")
        for row in rows:
            values = " | ".join(row.values.get(tree, "") for tree in trees)
            lines.append(f"| `{prefix}{row.name}` | {values} | {row.allowed} | {row.meaning} |")
        return "\n".join(lines) + "\n"


def _anchor(title: str) -> str:
    return re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")


def render() -> str:
    """Returns the whole document.

    Raises:
        ValueError: If a parameter has no description.
    """
    tables = Tables()
    fields = type(tables.base).model_fields
    single = [name for name, info in fields.items() if _nested(info.annotation)[0] is None]
    sections = ["## output\n\n| parameter | value | allowed | meaning |\n|---|---|---|---|\n"]
    sections[0] += "".join(
        f"| `{name}` | {_value(tables.base, tables.paper, name)} | text | Folder that results go to. |\n"
        for name in single
    )
    done = set(single)
    for name, info in fields.items():
        if name in done:
            continue
        trees = next((list(group) for group in _SIDE_BY_SIDE if name in group), [name])
        done |= set(trees)
        model = _nested(info.annotation)[0]
        sections.append(tables.section(", ".join(trees), model, trees))
        for inner, inner_info in model.model_fields.items():
            nested, keys = _nested(inner_info.annotation)
            if keys:
                places = [f"{name}.{inner}.{key}" for key in keys]
                sections.append(tables.section(f"{name}.{inner}", nested, places))
    sections.append(tables.section("training", TrainingOptions, tables.trainings))
    if tables.missing:
        raise ValueError("no description in the docstring of: " + ", ".join(tables.missing))
    return "\n".join([_HEAD, *sections])


if __name__ == "__main__":
    TARGET.write_text(render(), encoding="utf-8")
    sys.stdout.write(f"{TARGET.relative_to(ROOT)} written.\n")
