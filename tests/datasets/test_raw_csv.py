import pytest

from vidpop_pipelines.datasets.raw_csv import RawCsvDataset
from vidpop_pipelines.errors import InputError


def load(tmp_path, content: bytes | str):
    path = tmp_path / "videos.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return RawCsvDataset(str(path)).load()


def test_every_cell_is_a_string_and_rows_count_from_one(tmp_path):
    frame = load(tmp_path, "id,n\na,001\nb,\n")
    assert frame.to_numpy().tolist() == [["a", "001"], ["b", ""]]
    assert frame.index.tolist() == [1, 2]
    assert frame.attrs["source"].endswith("videos.csv")


def test_byte_order_mark_quotes_line_breaks_and_repeated_headers(tmp_path):
    frame = load(tmp_path, b'\xef\xbb\xbfid,text,text\na,"two\nlines, one cell",\xd0\xbf\n')
    assert list(frame.columns) == ["id", "text", "text"]
    assert frame.iloc[0].tolist() == ["a", "two\nlines, one cell", "п"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"id,n\na,\xe9\n", "line 2 is not UTF-8 (byte 2 is 0xe9)"),
        ("id,n\na,1\nb", "row 2 has 1 columns"),
        ("id,n\na,1,7\n", "row 1 has 3 columns"),
    ],
)
def test_unreadable_files_are_errors_that_name_the_place(tmp_path, content, message):
    with pytest.raises(InputError) as error:
        load(tmp_path, content)
    assert message in str(error.value)


def test_missing_file_is_an_error(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        RawCsvDataset(str(tmp_path / "absent.csv")).load()


def test_raw_data_is_never_written(tmp_path):
    with pytest.raises(InputError, match="read only"):
        RawCsvDataset(str(tmp_path / "videos.csv")).save(object())


def test_preview_shows_the_first_rows_as_they_are(tmp_path):
    path = tmp_path / "videos.csv"
    path.write_bytes(b'\xef\xbb\xbfid,text,text\na,"two\nlines",\nb,NA,001\nc,x,y\n')
    preview = RawCsvDataset(str(path)).preview(nrows=2)
    assert preview == {
        "index": [1, 2],
        "columns": ["id", "text", "text"],
        "data": [["a", "two\nlines", ""], ["b", "NA", "001"]],
    }
