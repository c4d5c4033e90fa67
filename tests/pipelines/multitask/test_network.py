"""The network: where it starts, what its outputs can be, and what missing numbers do."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vidpop_pipelines.pipelines.multitask.network import MultitaskNetworks, NetworkConfig, column_slices
from vidpop_pipelines.pipelines.multitask.targets import TARGETS

CENTRES = {"views": 0.0, "like_ratio": 0.05, "time_to_peak_days": 1.5, "decay_rate": 0.1}


def networks(n_networks: int = 2) -> MultitaskNetworks:
    torch.manual_seed(0)
    config = NetworkConfig(
        n_numbers=3,
        category_sizes=[4],
        block_sizes=[2, 5],
        targets=list(TARGETS),
        centres=CENTRES,
        scales=dict.fromkeys(CENTRES, 1.0),
        stage_shares=[0.2, 0.3, 0.5],
        huber_delta=1.5,
        token_size=8,
        n_layers=1,
        n_heads=2,
        hidden_size=16,
        read_size=4,
        readout_size=16,
        dropout=0.1,
        token_dropout=0.1,
        n_networks=n_networks,
    )
    return MultitaskNetworks(config).eval()


def inputs(n_videos: int = 6) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return {
        "numbers": torch.randn(n_videos, 3, generator=generator),
        "codes": torch.randint(0, 4, (n_videos, 1), generator=generator),
        "vectors": torch.randn(n_videos, 7, generator=generator),
        "offset": torch.linspace(2, 9, n_videos),
    }


def scrambled(model: MultitaskNetworks, size: float = 1.0) -> MultitaskNetworks:
    """Gives every head random weights: it starts with none."""
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for network in model.networks:
            for head in network.heads.values():
                head.weight.copy_(size * torch.randn(head.weight.shape, generator=generator))
    return model


def test_untrained_network_forecasts_trend_centres_and_shares():
    batch = inputs()
    logits = networks()(**batch)["logits"]
    columns = column_slices(list(TARGETS))
    torch.testing.assert_close(logits[:, columns["views"]][:, 0], batch["offset"])
    for name in ("like_ratio", "time_to_peak_days", "decay_rate"):
        torch.testing.assert_close(logits[:, columns[name]], torch.full((6, 1), CENTRES[name]))
    shares = logits[:, columns["lifecycle_stage"]].exp()
    torch.testing.assert_close(shares, torch.tensor([[0.2, 0.3, 0.5]]).expand(6, 3))


@settings(max_examples=25)
@given(size=st.floats(0.1, 30))
def test_ratio_and_probabilities_stay_within_their_bounds(size):
    logits = scrambled(networks(), size)(**inputs())["logits"]
    columns = column_slices(list(TARGETS))
    ratio, stages = logits[:, columns["like_ratio"]], logits[:, columns["lifecycle_stage"]].exp()
    assert ((ratio >= 0) & (ratio <= 1)).all()
    torch.testing.assert_close(stages.sum(dim=1), torch.ones(6))


def test_forecast_is_that_of_the_mean_output():
    model, batch = scrambled(networks()), inputs()
    each = [
        network(batch["numbers"], batch["codes"], batch["vectors"])["views"] for network in model.networks
    ]
    expected = batch["offset"][:, None] + torch.stack(each).mean(0)
    assert not torch.allclose(each[0], each[1])
    torch.testing.assert_close(model(**batch)["logits"][:, :1], expected)


def test_a_missing_number_is_a_token_of_its_own():
    model, batch = scrambled(networks(1)), inputs()
    zero, missing = dict(batch), dict(batch)
    zero["numbers"], missing["numbers"] = batch["numbers"].clone(), batch["numbers"].clone()
    zero["numbers"][:, 1], missing["numbers"][:, 1] = 0.0, float("nan")
    # As if it were the mean until the token of missing values has learned something else.
    torch.testing.assert_close(model(**missing)["logits"], model(**zero)["logits"])
    with torch.no_grad():
        model.networks[0].tokens.numbers.missing[1] = 1.0
    assert not torch.allclose(model(**missing)["logits"], model(**zero)["logits"])
    assert model(**missing)["logits"].isfinite().all()


def test_a_forecast_does_not_depend_on_the_other_videos_of_the_batch():
    model, batch = scrambled(networks()), inputs()
    alone = {name: values[2:3] for name, values in batch.items()}
    torch.testing.assert_close(model(**alone)["logits"], model(**batch)["logits"][2:3])
