import numpy as np
import pandas as pd
import plotly.graph_objects as go

from vidpop_pipelines.what_if.figures import curve_figure, effects_figure, number_figure, sweep_figure

CURVE = pd.DataFrame({"day": [2, 3], "views": [20.0, 30.0], "lower": [0.0, 3.0], "upper": [200.0, 300.0]})
NUMBER = pd.DataFrame({"day": [0], "views": [100.0], "lower": [10.0], "upper": [1000.0]})


def traces(figure: go.Figure) -> dict[str, go.Scatter]:
    return {trace.name: trace for trace in figure.data}


def test_curve_shows_interval_forecast_before_and_what_was_entered():
    drawn = traces(curve_figure(CURVE, CURVE.assign(views=[5.0, 6.0]), 12.0, logarithmic=False))
    assert list(drawn) == ["lower end", "interval", "forecast", "before", "entered"]
    assert drawn["forecast"].x == (2, 3) and drawn["forecast"].y == (20, 30)
    assert drawn["lower end"].y == (0, 3) and drawn["interval"].y == (200, 300)
    assert drawn["before"].y == (5, 6) and drawn["before"].line.dash == "dash"
    assert drawn["entered"].x == (1,) and drawn["entered"].y == (12,)


def test_logarithmic_axis_draws_nothing_below_one_view():
    figure = curve_figure(CURVE, None, 0.0, logarithmic=True)
    drawn = traces(figure)
    assert drawn["lower end"].y == (1, 3) and drawn["entered"].y == (1,)
    assert figure.layout.yaxis.type == "log" and "before" not in drawn


def test_forecast_without_interval_has_no_band():
    drawn = traces(curve_figure(CURVE.assign(lower=np.nan, upper=np.nan), None, None, logarithmic=True))
    assert list(drawn) == ["forecast"]
    assert len(number_figure(NUMBER.assign(lower=np.nan, upper=np.nan), None).data) == 1


def test_number_stands_in_its_interval_with_room_at_both_ends():
    figure = number_figure(NUMBER, NUMBER.assign(views=50.0))
    ends, points = figure.data[2], figure.data[3]
    assert ends.x == (10, 1000) and points.x == (100,) and figure.data[1].x == (50,)
    low, high = figure.layout.xaxis.range
    assert low < 1 and high > 3  # powers of ten


def test_sweep_marks_the_entered_value():
    forecast = pd.DataFrame({"views": [1.0, 2.0], "lower": [1.0, 1.0], "upper": [3.0, 4.0]})
    figure = sweep_figure(np.array([10.0, 20.0]), forecast, "<b>", "views", 20.0)
    drawn = traces(figure)
    assert drawn["forecast"].x == (10, 20) and drawn["entered"].x == (20,) and drawn["entered"].y == (2,)
    assert figure.layout.xaxis.title.text == "&lt;b&gt;"
    assert "entered" not in traces(sweep_figure(np.array([10.0, 20.0]), forecast, "a", "views", None))


def test_bars_start_at_a_factor_of_one():
    figure = effects_figure(pd.Series({"Tags": 0.25, "Title": 2.0, "Category": 1.0}))
    assert figure.data[0].x == (-2, 1, 0) and figure.data[0].text == ("×0.25", "×2", "×1")
    assert [note.text for note in figure.layout.annotations] == ["Tags", "Title", "Category"]
    # The longest bar reaches to a quarter, and so does the last mark.
    assert figure.layout.xaxis.ticktext == ("×0.25", "×1", "×4")
    assert effects_figure(pd.Series({"Tags": 1.0})).layout.xaxis.ticktext == ("×0.8", "×1", "×1.25")
