import json
from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vidpop_pipelines.errors import InputError
from vidpop_pipelines.features.tables import (
    find_repeated_rows,
    parse_dates,
    parse_durations,
    parse_lists,
    parse_numbers,
)


def column(*cells: str) -> pd.Series:
    return pd.Series(cells, index=pd.RangeIndex(1, len(cells) + 1, name="row"), dtype="str")


def read_dates(*cells: str, day_first: bool | None = None):
    return parse_dates(column(*cells), "published", "a.csv", day_first=day_first, option="tabular.day_first")


def utc(*parts: int) -> pd.Timestamp:
    return pd.Timestamp(datetime(*parts, tzinfo=UTC))


def test_numbers():
    numbers = parse_numbers(column("1", " 2.5 ", "1e3", "", "NaN", "n/a", "null"), "views", "a.csv")
    assert numbers.dtype == "float64"
    np.testing.assert_array_equal(numbers, [1, 2.5, 1000, np.nan, np.nan, np.nan, np.nan])


@pytest.mark.parametrize(
    "cell", ["1,234", "1 234", "1.234.567", "12k", "inf", "-Infinity", "0x10", "1_000", "?"]
)
def test_a_cell_that_is_no_number_is_named(cell):
    with pytest.raises(InputError) as error:
        parse_numbers(column("1", cell, "?"), "views", "a.csv")
    n_wrong = 2
    assert f"a.csv: row 2, column views: {cell!r} is not a finite number ({n_wrong} such cells)" in str(
        error.value
    )
    assert "without thousands separators" in str(error.value)


@pytest.mark.parametrize(
    ("cell", "seconds"),
    [
        ("61", 61),
        ("61.5", 61.5),
        ("-3", -3),  # read as it stands; the table's schema refuses it
        ("PT1H2M3S", 3723),
        ("PT15M", 900),
        ("PT1.5S", 1.5),
        ("P1DT2S", 86402),
        ("P0D", 0),
        ("1:02:03", 3723),
        ("100:00:00", 360_000),
        ("2:03", 123),
        ("75:00", 4500),
        ("", np.nan),
    ],
)
def test_durations(cell, seconds):
    np.testing.assert_array_equal(parse_durations(column(cell), "duration", "a.csv"), [seconds])


def test_durations_may_differ_in_spelling_from_cell_to_cell():
    seconds = parse_durations(column("PT1M", "60", "", "1:00", "0:01:00"), "duration", "a.csv")
    np.testing.assert_array_equal(seconds, [60, 60, np.nan, 60, 60])


@pytest.mark.parametrize("cell", ["PT", "P", "1:75:00", "1:60", "-1:00", "P1W", "1h", "inf", "1:2:3:4"])
def test_a_cell_that_is_no_duration_is_named(cell):
    with pytest.raises(InputError, match="a.csv: row 2, column duration: .* is not a duration"):
        parse_durations(column("", cell), "duration", "a.csv")


@pytest.mark.parametrize(
    "cell",
    [
        "2024-01-31T18:30:00+00:00",
        "2024-01-31T18:30:00Z",
        "2024-01-31 18:30:00.000Z",
        "2024-01-31T20:00:00+01:30",
        "2024-01-31T13:30-0500",
        "2024-01-31 20:30:00 +02",
        "2024-01-31 18:30",
        "2024-01-31 18:30:00 UTC",
        "2024/1/31 18:30",
        "Wed, 31 Jan 2024 19:30:00 +0100",
        "31 January 2024 18:30:00 GMT",
        "Wed, 31 Jan 2024 13:30:00 EST",
        "Wed, 31 Jan 2024 11:30:00 PDT",
        "Jan 31, 2024 6:30 PM",
        "1706725800",
        "1706725800.0",
        "1706725800000",
        "31/1/2024 18:30",
        "1/31/2024 06:30 pm",
        "31.01.2024 18:30",
    ],
)
def test_dates(cell):
    times, _ = read_dates(cell)
    assert times.dtype == "datetime64[us, UTC]"
    assert times.tolist() == [utc(2024, 1, 31, 18, 30)]


@pytest.mark.parametrize("cell", ["2024-01-31", "20240131", "Jan 31, 2024", "31-01-2024", "1706659200"])
def test_days_begin_at_midnight(cell):
    times, _ = read_dates(cell)
    assert times.tolist() == [utc(2024, 1, 31)]


def test_spellings_and_zones_may_differ_and_those_without_a_zone_are_counted():
    times, reading = read_dates(
        "2024-01-31T01:00:00+05:30",
        "2024-01-31",
        "",
        "1706659200",
        "31 Jan 2024 00:00",
        "2024-01-31T00:00:00Z",
    )
    assert times.tolist() == [utc(2024, 1, 30, 19, 30), utc(2024, 1, 31), pd.NaT] + 3 * [utc(2024, 1, 31)]
    assert reading.n_without_zone == 2
    assert reading.order is None


def test_milliseconds_and_fractions_survive():
    times, _ = read_dates("1706725800123", "2024-01-31T18:30:00.123456Z", "1706725800.5")
    assert [time.microsecond for time in times] == [123_000, 123_456, 500_000]


def test_the_whole_column_decides_the_order_of_day_and_month():
    times, reading = read_dates("3/4/2024", "31/1/2024")
    assert times.tolist() == [utc(2024, 4, 3), utc(2024, 1, 31)]
    assert (reading.order, reading.given) == ("day first", False)
    times, reading = read_dates("3/4/2024", "1/31/2024")
    assert times.tolist() == [utc(2024, 3, 4), utc(2024, 1, 31)]
    assert (reading.order, reading.given) == ("month first", False)
    assert read_dates("5/5/2024")[0].tolist() == [utc(2024, 5, 5)]


def test_an_order_that_is_given_decides():
    assert read_dates("3/4/2024", day_first=True)[0].tolist() == [utc(2024, 4, 3)]
    times, reading = read_dates("3/4/2024", day_first=False)
    assert times.tolist() == [utc(2024, 3, 4)]
    assert (reading.order, reading.given) == ("month first", True)
    with pytest.raises(
        InputError, match=r"row 1, column published: '31/1/2024' is not a date with the month first"
    ):
        read_dates("31/1/2024", day_first=False)


def test_an_undecided_order_is_asked_for():
    with pytest.raises(InputError) as error:
        read_dates("2024-01-31", "5/5/2024", "3/4/2024")
    assert "a.csv: row 3, column published: '3/4/2024' may be read with the day or the month first" in str(
        error.value
    )
    assert "tabular.day_first=true" in str(error.value)


def test_two_orders_in_one_column_are_an_error_that_names_both():
    with pytest.raises(
        InputError, match=r"in row 2 \('31/1/2024'\) the day is first, in row 1 \('1/31/2024'\)"
    ):
        read_dates("1/31/2024", "31/1/2024")


@pytest.mark.parametrize(
    "cell",
    [
        "2024-02-30",
        "2024-13-01",
        "0000-00-00",
        "2024-01-31T25:00:00Z",
        "2024-01-31 13:30 PM",
        "2024-01-31 18:30 CEST",
        "31 Foo 2024",
        "yesterday",
        "now",
        "2024",
        "12:30",
        "32/13/2024",
    ],
)
def test_a_cell_that_is_no_date_is_named(cell):
    with pytest.raises(InputError) as error:
        read_dates("2024-01-31", cell, day_first=True)
    assert f"a.csv: row 2, column published: {cell!r} is not a date" in str(error.value)


@given(
    st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1)),
    st.integers(-12 * 60, 14 * 60),
    st.sampled_from(["iso", "space", "rfc", "seconds", "slashes"]),
)
@settings(max_examples=60)
def test_every_spelling_of_a_time_is_the_same_time(naive, minutes, spelling):
    time = naive.replace(microsecond=0, tzinfo=timezone(timedelta(minutes=minutes)))
    cell = {
        "iso": time.isoformat(),
        "space": str(time),
        "rfc": format_datetime(time),
        "seconds": str(int(time.timestamp())),
        "slashes": time.strftime("%d/%m/%Y %H:%M:%S %z"),
    }[spelling]
    times, reading = read_dates(cell, day_first=True)
    assert times.iloc[0] == time
    assert reading.n_without_zone == 0


@pytest.mark.parametrize(
    ("cell", "joined"),
    [
        ("a|b", "a|b"),
        (" b, a ,b,", "b|a"),
        ('["a", "b"]', "a|b"),
        ("['a', 'b, c']", "a|b, c"),
        ("['a' 'b']", "a|b"),
        ("[1, 2]", "1|2"),
        ('["a", null]', "a"),
        ('["a|b"]', "a b"),
        (r'["a\ud83d", "\ud83d\ude00"]', "a?|😀"),
        ('["it\'s", "a \' \'b"]', "it's|a ' 'b"),
        ('["none"]', "none"),
        ('a b|"c d"|"e, f"', "a b|c d|e, f"),
        ('"a, b", c', "a, b|c"),
        ('12" vinyl|x', '12" vinyl|x'),
        ("[4K]|[live]", "[4K]|[live]"),
        ("[live]", "[live]"),
        ("[none]", ""),
        ("[None]", ""),
        ("[]", ""),
        ("", ""),
        ("|", ""),
    ],
)
def test_lists(cell, joined):
    assert parse_lists(column(cell)).tolist() == [joined]


@given(
    st.lists(
        st.text(alphabet=st.characters(exclude_characters="|", codec="utf-8"), min_size=1).map(str.strip)
    )
)
def test_json_lists_keep_their_items(items):
    expected = "|".join(dict.fromkeys(item for item in items if item))
    assert parse_lists(column(json.dumps(items)))[1] == expected


def test_repeated_rows_are_found_and_conflicting_ones_named():
    rows = pd.DataFrame({"video_id": ["a", "b", "a"], "views": [1.0, np.nan, 1.0]}, index=[1, 2, 3])
    assert find_repeated_rows(rows, "a.csv").tolist() == [False, False, True]
    rows.loc[3, "views"] = 2.0
    with pytest.raises(
        InputError, match="row 3, column video_id: 'a' stands in row 1 already, with other values"
    ):
        find_repeated_rows(rows, "a.csv")
