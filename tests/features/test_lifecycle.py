import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from vidpop_pipelines.features.lifecycle import (
    MINIMUM_DAYS_AFTER_PEAK,
    MINIMUM_OBSERVED_DAYS,
    STAGES,
    decay_rate,
    lifecycle_stage,
    lifecycle_targets,
    like_ratio,
    time_to_peak_days,
)

NAN = np.nan
DAYS = np.arange(1, 31)


def one(views) -> tuple[str, float, float]:
    """Stage, time to peak and decay rate of one series."""
    targets = lifecycle_targets([np.asarray(views, dtype=float)])
    return tuple(targets.iloc[0])


def test_monotone_growth():
    stage, day, rate = one(DAYS * 100.0)
    assert (stage, day) == ("growth", 30)
    assert np.isnan(rate)


def test_spike_on_day_1_with_exponential_decay():
    stage, day, rate = one(1e9 * np.exp(-0.3 * (DAYS - 1)))
    assert (stage, day) == ("decay", 1)
    assert rate == pytest.approx(0.3, abs=1e-3)


def test_plateau_after_growth_is_the_peak():
    views = np.concatenate([np.linspace(10, 1000, 10), np.full(20, 1000.0)])
    stage, day, rate = one(views)
    # Two of the days 9, 10 and 11 reach 1000, of 8, 9 and 10 only one.
    assert (stage, day) == ("peak", 10)
    assert rate == pytest.approx(0.0, abs=1e-12)


def test_constant_series_peaks_on_its_first_day():
    stage, day, rate = one(np.full(30, 7.0))
    assert (stage, day) == ("peak", 1)
    assert rate == pytest.approx(0.0, abs=1e-12)


def test_a_video_without_views_has_no_life_cycle():
    stage, day, rate = one(np.zeros(30))
    assert stage == "" and np.isnan(day) and np.isnan(rate)


def test_growth_faster_than_its_weekly_median_is_not_decay():
    assert one(2.0**DAYS)[:2] == ("growth", 30)


def test_two_day_spike_at_the_end_is_a_peak_and_decay_a_week_later():
    views = np.full(30, 100.0)
    views[28:] = 1000.0
    assert one(views)[:2] == ("peak", 29)
    views = np.roll(views, -7)
    assert one(views)[:2] == ("decay", 22)


@pytest.mark.parametrize(("last_week", "stage"), [(111, "growth"), (110, "peak"), (90, "peak")])
def test_growth_is_more_than_ten_percent_in_a_week(last_week, stage):
    assert one([100.0] * 23 + [last_week] * 7)[0] == stage


@pytest.mark.parametrize(("last_week", "stage"), [(50, "peak"), (49, "decay")])
def test_peak_ends_below_half_of_the_best_day(last_week, stage):
    assert one([100.0] * 23 + [last_week] * 7)[0] == stage


def test_recovery_below_half_of_the_peak_is_still_decay():
    assert one([1000.0] * 3 + [100.0] * 20 + [200.0] * 7)[0] == "decay"


def test_one_odd_day_is_not_the_peak():
    views = 1000.0 - 10 * DAYS
    views[19] = 50_000.0
    assert one(views)[1] == 1


def test_first_days():
    # Levels: 980 on days 1 and 2, of which day 1 has more views.
    assert one(1000.0 - 10 * DAYS)[1] == 1
    # A first day with few hours: the day after, not the first, is the peak.
    assert one([0.0, *1000 * 0.3 ** np.arange(29)])[1] == 2


@pytest.mark.parametrize(("day_5", "stage"), [(0.0, ""), (1.0, "decay")])
def test_scattered_single_views_are_no_life_cycle(day_5, stage):
    views = np.zeros(30)
    views[[3, 9, 20]] = 1.0
    views[4] = day_5
    assert one(views)[0] == stage


def test_missing_days():
    views = 1e9 * np.exp(-0.3 * (DAYS - 1))
    views[[3, 4, 11, 20]] = NAN
    stage, day, rate = one(views)
    assert (stage, day) == ("decay", 1)
    assert rate == pytest.approx(0.3, abs=1e-3)
    # The peak is never on a missing day, though its neighbours would give it a value.
    triangle = 100.0 - np.abs(DAYS - 15)
    triangle[14] = NAN
    assert one(triangle)[1] in (14, 16)


def test_the_stage_is_that_of_the_last_observed_day():
    growing = DAYS * 100.0
    growing[20:] = NAN
    assert one(growing)[:2] == ("growth", 20)


def test_decay_rate_by_hand():
    # log1p of days 1 to 6: 6, 5, 4, 3, 2, 1 in units of log(2), so the slope is -log(2).
    views = [63.0, 31.0, 15.0, 7.0, 3.0, 1.0, NAN]
    assert np.isnan(decay_rate([views]))[0]  # six known days: no peak
    views = [127.0, *views[:-1]]
    assert decay_rate([views]) == pytest.approx(np.log(2))


def test_watching_a_dead_video_for_longer_does_not_slow_its_decay():
    views = [4095.0, 1023.0, 255.0, 63.0, 15.0, 3.0, 1.0]
    rates = [decay_rate([views + [0.0] * n])[0] for n in (0, 20, 200)]
    assert rates[0] == rates[1] == rates[2] > 1
    # Dead at once: five days after the peak are used, four of them zero.
    short = [decay_rate([[1000.0, 10.0] + [0.0] * n])[0] for n in (5, 20)]
    x, y = np.arange(6), np.log1p([1000, 10, 0, 0, 0, 0])
    assert short == pytest.approx([-np.polyfit(x, y, 1)[0]] * 2)


def test_minimum_of_observed_days():
    decaying = np.exp(10 - 0.5 * DAYS)
    few = np.full(30, NAN)
    few[: MINIMUM_OBSERVED_DAYS - 1] = decaying[: MINIMUM_OBSERVED_DAYS - 1]
    stage, day, rate = one(few)
    assert stage == "" and np.isnan(day) and np.isnan(rate)
    few[MINIMUM_OBSERVED_DAYS - 1] = 100.0
    stage, day, rate = one(few)
    assert stage == "" and day == 1 and rate > 0  # one week: no week before it to compare with

    n = MINIMUM_DAYS_AFTER_PEAK
    rising_then_falling = np.concatenate([np.arange(1.0, 21.0), 20.0 - np.arange(1, 11)])
    peak = int(one(rising_then_falling)[1])
    enough, too_few = rising_then_falling[: peak + n], rising_then_falling[: peak + n - 1]
    assert np.isfinite(one(enough)[2]) and np.isnan(one(too_few)[2])


@pytest.mark.parametrize(("known_before", "stage"), [(3, ""), (4, "peak")])
def test_both_weeks_need_four_days(known_before, stage):
    views = np.full(30, 50.0)
    views[16 : 23 - known_before] = NAN
    assert one(views)[0] == stage
    views = np.full(30, 50.0)
    views[23 : 29 - known_before + 1] = NAN
    assert one(views)[0] == stage


def test_series_are_independent_of_each_other():
    views = np.random.default_rng(0).poisson(30, (20, 30)).astype(float)
    views[views < 22] = NAN
    together = lifecycle_targets(views)
    for row, series in enumerate(views):
        alone = lifecycle_targets([series]).iloc[0]
        assert together.iloc[row].astype(str).tolist() == alone.astype(str).tolist()


def test_shapes_and_types():
    empty = lifecycle_targets(np.empty((0, 30)))
    assert list(empty) == ["lifecycle_stage", "time_to_peak_days", "decay_rate"] and len(empty) == 0
    assert [str(dtype) for dtype in empty.dtypes] == ["str", "float64", "float64"]
    assert lifecycle_targets(np.full((2, 30), NAN))["lifecycle_stage"].tolist() == ["", ""]
    assert one([5.0])[0] == ""


@pytest.mark.parametrize("views", [[[1.0, -1.0]], [[np.inf, 1.0]], [1.0, 2.0], np.empty((2, 0))])
def test_impossible_views_are_refused(views):
    with pytest.raises(ValueError, match="daily views"):
        lifecycle_targets(views)


series = arrays(np.float64, (1, 20), elements=st.sampled_from([NAN, 0.0, 1.0, 5.0, 10.0, 11.0, 12.0, 1000.0]))
quick = settings(max_examples=50)


@quick
@given(views=series, factor=st.integers(2, 1000))
def test_stage_and_peak_do_not_depend_on_the_scale(views, factor):
    assert lifecycle_stage(views * factor).tolist() == lifecycle_stage(views).tolist()
    np.testing.assert_array_equal(time_to_peak_days(views * factor), time_to_peak_days(views))


@quick
@given(views=series, n_missing=st.integers(0, 20))
def test_missing_days_at_the_end_change_nothing(views, n_missing):
    longer = np.pad(views, ((0, 0), (0, n_missing)), constant_values=NAN)
    pd.testing.assert_frame_equal(lifecycle_targets(longer), lifecycle_targets(views), atol=1e-9)


@quick
@given(views=series)
def test_targets_are_in_range_and_defined_together(views):
    targets = lifecycle_targets(views)
    day = targets["time_to_peak_days"]
    assert targets["lifecycle_stage"].isin([*STAGES, ""]).all()
    assert day.dropna().between(1, 20).all()
    undefined = day.isna()
    assert (targets.loc[undefined, "lifecycle_stage"] == "").all()
    assert targets.loc[undefined, "decay_rate"].isna().all()


@quick
@given(rate=st.floats(0.05, 1.0), peak_day=st.integers(1, 24), level=st.floats(1e3, 1e6))
def test_exact_exponential_decay_is_recovered(rate, peak_day, level):
    # Views above 1e3 on the last day: log1p and log differ by less than 0.001.
    views = level * np.exp(rate * (30 - DAYS))
    views[: peak_day - 1] = 0.0
    assert decay_rate([views])[0] == pytest.approx(rate, abs=1e-3)
    assert time_to_peak_days([views])[0] == peak_day


def test_like_ratio():
    likes = [5, 0, NAN, 5, 0, 11, -1, 10]
    views = [10, 10, 10, NAN, 0, 10, 10, 10]
    np.testing.assert_array_equal(like_ratio(likes, views), [0.5, 0.0, NAN, NAN, NAN, NAN, NAN, 1.0])


@quick
@given(
    counts=arrays(np.float64, (5, 2), elements=st.floats(allow_nan=True, allow_infinity=False, width=32)),
)
def test_like_ratio_is_a_share(counts):
    ratio = like_ratio(counts[:, 0], counts[:, 1])
    assert ((ratio >= 0) & (ratio <= 1) | np.isnan(ratio)).all()
