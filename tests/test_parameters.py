from pathlib import Path

import pytest
from kedro.config import OmegaConfigLoader

from vidpop_pipelines.errors import InputError
from vidpop_pipelines.parameters import IntervalOptions, check_parameters, flatten
from vidpop_pipelines.settings import CONFIG_LOADER_ARGS

CONF = Path(__file__).parents[1] / "conf"


def load(environment: str = "base", **runtime) -> dict:
    loader = OmegaConfigLoader(
        str(CONF), env=environment, runtime_params=runtime, **CONFIG_LOADER_ARGS | {"default_run_env": "base"}
    )
    return loader["parameters"]


@pytest.mark.parametrize("environment", ["base", "paper"])
def test_shipped_configuration_is_valid(environment):
    assert check_parameters(load(environment)).smtpd.fold == 0


def test_paper_changes_what_it_names_and_keeps_the_rest():
    paper, base = check_parameters(load("paper")), check_parameters(load())
    assert paper.smtpd.protocol == "published"
    assert paper.smtpd.network.decoder == "lstm"
    assert paper.interval == base.interval


@pytest.mark.parametrize(
    ("runtime", "message"),
    [
        ({"smtpd": {"cvs": "x"}}, "unknown parameter 'smtpd.cvs'; did you mean 'smtpd.csv'?"),
        ({"smtpd": {"training": {"epoch": 3}}}, "did you mean 'smtpd.training.epochs'?"),
        ({"protocol": "published"}, "did you mean 'smtpd.protocol'?"),
        ({"smtpd": {"fold": 7}}, "fold 7 does not exist"),
        ({"smtpd": {"fold": "some"}}, "smtpd.fold"),
        ({"smtpd": {"modalities": "visual+sound"}}, "unknown modality sound"),
        ({"smtpd": {"eval_from": 9, "eval_to": 3}}, "eval_from (9) is after eval_to (3)"),
        ({"interval": {"coverage": 1.5}}, "interval.coverage"),
        ({"smtpd": {"blend": "perhaps"}}, "smtpd.blend"),
    ],
)
def test_wrong_parameters_are_named_with_the_nearest_right_one(runtime, message):
    with pytest.raises(InputError) as error:
        check_parameters(load(**runtime))
    assert message in str(error.value)


def test_all_problems_are_told_at_once():
    with pytest.raises(InputError) as error:
        check_parameters(load(smtpd={"cvs": 1}, interval={"coverage": 2}))
    assert "smtpd.cvs" in str(error.value) and "interval.coverage" in str(error.value)


def test_text_false_is_false():
    assert check_parameters(load(smtpd={"blend": "False"})).smtpd.blend is False


def test_plus_makes_a_list_in_the_order_of_the_model():
    assert check_parameters(load(smtpd={"modalities": "text+visual"})).smtpd.modalities == ["visual", "text"]


def test_flatten_gives_dotted_keys():
    assert flatten(IntervalOptions(coverage=0.8), "interval") == {"interval.coverage": 0.8}
