"""The page itself: Streamlit runs this file anew after every change of an input."""

import base64
import json
import sys
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import pandas as pd
import streamlit as st

from vidpop_pipelines.pipelines.tabular.requests import DEFAULT_AGE_HOURS
from vidpop_pipelines.what_if import figures
from vidpop_pipelines.what_if.client import ModelClient, Refused, Unanswered
from vidpop_pipelines.what_if.form import Field, given_fields, read_fields, split_list, write_request
from vidpop_pipelines.what_if.launch import Settings
from vidpop_pipelines.what_if.questions import (
    CURVE,
    effects,
    read_answer,
    sweep_requests,
    sweep_values,
    withheld_requests,
)
from vidpop_pipelines.what_if.words import describe_change, describe_others, describe_views

# Otherwise Streamlit takes no time before the last ten years; YouTube opened in 2005.
_EARLIEST = datetime(2005, 1, 1)


def main() -> None:
    """Shows form and forecasts."""
    settings = Settings(**json.loads(sys.argv[1]))
    st.set_page_config(f"What if? {settings.family}", layout="wide")
    st.title("What if?", anchor=False)
    st.caption(
        f"Version {settings.number} of **{settings.family}** forecasts the video that you describe in the"
        " sidebar (» at the top left, if it is closed). Leave empty what you do not know."
    )
    fields = read_fields(settings.inputs)
    values, below = _show_form(fields)
    missing = [
        field.label for field in fields if field.required and field not in given_fields(fields, values)
    ]
    if missing:
        st.info(f"Enter {', '.join(missing)}: the model needs it.")
        return
    try:
        _show_forecasts(settings, fields, values)
    except Refused as error:
        _show_refusal(error, fields, below)
    except Unanswered as error:
        st.error(str(error))


@st.cache_data(ttl=600, max_entries=100, show_spinner=False)
def ask(url: str, kind: str, videos: list[dict[str, Any]]) -> pd.DataFrame:
    """Returns the answer of the model as `read_answer` makes it; the same question is asked once."""
    return read_answer(ModelClient(url).ask(videos), len(videos), kind)


def _show_form(fields: list[Field]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Shows the inputs; returns their values, and the places below them, by name."""
    values, below = {}, {}
    with st.sidebar:
        st.header("The video", anchor=False)
        usual, rare = st.container(), st.expander("More inputs")
        for field in fields:
            with rare if field.rare else usual:
                values[field.name] = _show_input(field)
                below[field.name] = st.container()
    return values, below


def _show_input(field: Field) -> Any:
    label = f"{field.label} *" if field.required else field.label
    words: dict[str, Any] = {"label": label, "help": field.help or None, "key": field.name}
    if field.is_number:
        # Typed as whole numbers: all of them are counts, seconds or hours.
        start = None if field.start is None else int(field.start)
        lowest = 0 if field.kind == "score" else None
        return st.number_input(**words, value=start, step=1, min_value=lowest, placeholder="unknown")
    if field.kind == "time":
        time = st.datetime_input(**words, value=None, min_value=_EARLIEST)
        return None if time is None else time.isoformat()
    if field.kind == "picture":
        picture = st.file_uploader(**words, type=["jpg", "jpeg", "png", "webp", "gif", "bmp"])
        return None if picture is None else base64.b64encode(picture.getvalue()).decode()
    if field.kind == "list" and field.choices:
        return st.multiselect(**words, options=field.choices, accept_new_options=True, placeholder="unknown")
    if field.choices:
        return st.selectbox(
            **words, options=field.choices, index=None, accept_new_options=True, placeholder="unknown"
        )
    text = st.text_input(**words).strip()
    return split_list(text) if field.kind == "list" else text


def _show_forecasts(settings: Settings, fields: list[Field], values: dict[str, Any]) -> None:
    request = write_request(fields, values)
    forecast = ask(settings.url, settings.kind, [request])
    _remember(request, forecast)
    is_curve = settings.kind == CURVE
    with st.container(border=True):
        st.subheader("The forecast", anchor=False)
        _show_forecast(settings, forecast, is_curve, values)
    day = int(forecast["day"].iloc[-1])
    quantity = f"views until day {day}" if is_curve else "views"
    with st.container(border=True):
        st.subheader("How it moves", anchor=False)
        _show_sweep(settings, fields, values, day, quantity)
    with st.container(border=True):
        st.subheader("What drives it", anchor=False)
        _show_effects(settings, fields, values, forecast, day, quantity)


def _remember(request: Mapping[str, Any], forecast: pd.DataFrame) -> None:
    """Keeps the forecast before the last change of an input, unless another one is held for comparison."""
    state = st.session_state
    if request != state.get("_request"):
        state["_before"] = state.get("_forecast")
        state["_request"], state["_forecast"] = request, forecast


def _hold() -> None:
    st.session_state["_held"] = st.session_state["_forecast"]


def _show_forecast(
    settings: Settings, forecast: pd.DataFrame, is_curve: bool, values: Mapping[str, Any]
) -> None:
    before = st.session_state.get("_held" if st.session_state.get("_hold") else "_before")
    last = forecast.iloc[-1]
    age = values.get("age_hours") or DEFAULT_AGE_HOURS
    name = f"Views until day {last['day']:.0f}" if is_curve else f"Views after {age / 24:.3g} days"
    then = None if before is None else before.iloc[-1]["views"]
    st.metric(name, describe_views(last["views"]), describe_change(last["views"], then))
    st.markdown(_describe_interval(last, settings.coverage))
    place = st.empty()
    with st.container(horizontal=True):
        st.toggle(
            "Hold this forecast",
            key="_hold",
            on_change=_hold,
            help="Compares with the forecast as it is now, whatever you change afterwards; otherwise with the one"
            " before the last change.",
        )
        logarithmic = is_curve and st.toggle("Logarithmic", value=True, key="_logarithmic")
    if is_curve:
        st.caption("Each day is forecast by itself, so the line may dip where the model is unsure.")
        figure = figures.curve_figure(forecast, before, values.get("day_1"), logarithmic)
    else:
        figure = figures.number_figure(forecast, before)
    _draw(place, figure, "forecast")
    others = describe_others(forecast, before)
    if len(others):
        st.table(others)


def _describe_interval(last: pd.Series, coverage: float | None) -> str:
    if pd.isna(last["lower"]):
        return "This model has no intervals: there were too few videos to measure its errors on."
    share = "" if coverage is None else f"{coverage:.0%} "
    return f"{share}interval: {describe_views(last['lower'])} to {describe_views(last['upper'])}"


def _show_sweep(
    settings: Settings, fields: list[Field], values: dict[str, Any], day: int, quantity: str
) -> None:
    numbers = [field for field in fields if field.is_number]
    varied = st.selectbox("Vary", numbers, format_func=lambda field: field.label, key="_varied")
    current = values.get(varied.name)
    tried = sweep_values(varied, current)
    answer = ask(settings.url, settings.kind, sweep_requests(fields, values, varied, tried))
    figure = figures.sweep_figure(tried, answer[answer["day"] == day], varied.label, quantity, current)
    _draw(st, figure, "sweep")
    st.caption(
        f"The model's answers for {len(tried)} values of this input, everything else as entered. Beyond the values"
        " that it was trained on they say little. A line that stays level means that the model makes no use of it."
    )


def _show_effects(
    settings: Settings,
    fields: list[Field],
    values: dict[str, Any],
    forecast: pd.DataFrame,
    day: int,
    quantity: str,
) -> None:
    withheld = withheld_requests(fields, values)
    if not withheld:
        st.info("Nothing is entered yet.")
        return
    answer = ask(settings.url, settings.kind, list(withheld.values()))
    without = answer.loc[answer["day"] == day, "views"]
    factors = effects(float(forecast["views"].iloc[-1]), dict(zip(withheld, without, strict=True)))
    _draw(st, figures.effects_figure(factors), "effects")
    st.caption(
        f"Each bar compares the forecast of {quantity} with the one for the same video without this input, as if it"
        " were unknown: ×2 means that knowing it doubles the forecast, ×1 that it changes nothing (perhaps because"
        " the model never saw such a value). A number that the model can't do without is halved instead. Inputs that"
        " say the same share their effect. These are effects on the forecast, not causes of views."
    )


def _draw(place: Any, figure: Any, key: str) -> None:
    # Streamlit's own theme would replace the colours of the reports.
    place.plotly_chart(figure, theme=None, key=f"_{key}", config={"displayModeBar": False})


def _show_refusal(error: Refused, fields: list[Field], below: Mapping[str, Any]) -> None:
    labels = {field.name: field.label for field in fields}
    if error.field not in labels:
        st.error(f"The model does not accept this: {error.message}")
        return
    below[error.field].error(error.message)
    st.error(f"The model does not accept **{labels[error.field]}**: {error.message}")


main()
