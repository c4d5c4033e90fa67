import numpy as np
import pytest

from vidpop_pipelines.pipelines.smtpd.registration import model_signature as smtpd_signature
from vidpop_pipelines.pipelines.tabular.requests import model_signature as tabular_signature
from vidpop_pipelines.what_if.form import Field, given_fields, read_fields, split_list, write_request

INPUTS = [
    {"name": "video_id", "type": "string", "required": False},
    {"name": "day_1", "type": "double", "required": True},
    {"name": "shelf_mark", "type": "double", "required": False},
    {"name": "tags", "type": "any", "required": False},
    {"name": "title", "type": "string", "required": False},
]


def test_form_follows_the_signature_in_the_order_of_the_page():
    fields = read_fields(INPUTS)
    assert [(field.name, field.kind, field.required) for field in fields] == [
        ("title", "text", False),
        ("tags", "list", False),
        ("day_1", "score", True),
        ("shelf_mark", "number", False),
    ]
    assert fields[2].label == "Views on day 1" and fields[3].label == "shelf mark" and fields[3].rare


@pytest.mark.parametrize(
    "signature",
    [smtpd_signature(True), smtpd_signature(False), tabular_signature({"predicted_views": "double"})],
)
def test_every_input_of_a_served_family_has_words_of_its_own(signature):
    """A field that a family adds to its requests must get a label, and a range if it is a number."""
    inputs = signature.inputs.to_dict()
    fields = read_fields(inputs)
    assert {field.name for field in fields} == {column["name"] for column in inputs} - {"video_id"}
    assert all(field.label != field.name.replace("_", " ") for field in fields)
    types = {column["name"]: column["type"] for column in inputs}
    for field in fields:
        assert field.is_number == (types[field.name] == "double"), field.name


def test_request_has_scores_for_views_and_nothing_for_what_is_empty():
    fields = read_fields(INPUTS)
    values = {"title": "", "tags": ["a", "b"], "day_1": 1023, "shelf_mark": None}
    assert write_request(fields, values) == {
        "title": None,
        "tags": ["a", "b"],
        "day_1": 10.0,  # log2(1023 + 1)
        "shelf_mark": None,
    }
    assert [field.name for field in given_fields(fields, values)] == ["tags", "day_1"]


def test_zero_is_a_value():
    fields = [Field("posts", "Posts", "number"), Field("day_1", "Views", "score")]
    request = write_request(fields, {"posts": 0, "day_1": 0})
    assert request == {"posts": 0.0, "day_1": 0.0} and np.isfinite(request["day_1"])


def test_lists_are_separated_by_commas():
    assert split_list(" bread, , rye bread ,") == ["bread", "rye bread"]
    assert split_list(" ") == []
