"""docs/parameters.md is what the models and the configuration say."""

from typing import Literal

import make_parameters
import pytest
from pydantic import Field

from vidpop_pipelines.parameters import Parameters, PlusList


def test_document_is_up_to_date():
    assert make_parameters.TARGET.read_text() == make_parameters.render(), (
        "run `python docs/make_parameters.py` and commit docs/parameters.md"
    )


class Toy(Parameters):
    """Toy.

    Attributes:
        share: A share, of
            everything.
        names: Some | names.
    """

    share: float = Field(gt=0, le=1)
    names: PlusList
    kind: Literal["a", "b"] | None = None


def test_meanings_are_those_of_the_docstring():
    assert make_parameters.describe(Toy) == {"share": "A share, of everything.", "names": r"Some \| names."}


def test_missing_description_is_an_error(monkeypatch):
    monkeypatch.setattr(make_parameters.TrainingOptions, "__doc__", "Nothing about the fields.")
    with pytest.raises(ValueError, match="TrainingOptions.epochs"):
        make_parameters.render()


@pytest.mark.parametrize(
    ("name", "allowed"),
    [("share", "number > 0, ≤ 1"), ("names", "list of text (`a+b`)"), ("kind", "`a`, `b`, null")],
)
def test_types_and_limits_are_in_plain_words(name, allowed):
    info = Toy.model_fields[name]
    assert make_parameters._allowed(info.annotation, info.metadata) == allowed
