"""A CSV file exactly as it was written: every cell a string, nothing guessed."""

from pathlib import Path
from typing import Any

import pandas as pd
from kedro.io import AbstractDataset
from kedro_datasets._typing import TablePreview

from vidpop_pipelines.errors import InputError


class RawCsvDataset(AbstractDataset[None, pd.DataFrame]):
    """Loads a CSV file with a header line; the validation node gives the cells their types.

    The loaded table carries its path in ``attrs["source"]``, for messages. Its index is the row number
    (1 is the first row below the header). Header names may repeat: columns are known by position.

    Args:
        filepath: UTF-8 CSV file, with or without byte order mark.
        metadata: Kedro metadata.
    """

    def __init__(self, filepath: str, metadata: dict[str, Any] | None = None):
        self._filepath = Path(filepath)
        self.metadata = metadata

    def load(self) -> pd.DataFrame:
        """Reads the file.

        Raises:
            InputError: If the file is missing, empty, not UTF-8, or has rows of different lengths.
        """
        import pyarrow as pa
        from pyarrow import csv

        path = self._filepath
        if not path.is_file():
            raise InputError(f"{path}: no such file.", "a CSV file", "check the path.")
        _check_encoding(path)
        invalid_rows: list[Any] = []
        try:
            with open(path, encoding="utf-8-sig", newline="") as file:
                n_columns = _count_columns(file.readline(), path)
            names = [str(position) for position in range(n_columns)]
            table = csv.read_csv(
                path,
                # One thread: only then are broken rows reported with their number.
                read_options=csv.ReadOptions(column_names=names, use_threads=False),
                parse_options=csv.ParseOptions(
                    newlines_in_values=True,
                    invalid_row_handler=lambda row: invalid_rows.append(row) or "skip",
                ),
                convert_options=csv.ConvertOptions(
                    column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False
                ),
            )
        except pa.ArrowInvalid as error:
            raise InputError(
                f"{path}: not a readable CSV file ({error}).", "comma-separated values"
            ) from None
        if invalid_rows:
            row = invalid_rows[0]
            raise InputError(
                f"{path}: row {row.number - 1} has {row.actual_columns} columns"
                f" ({len(invalid_rows)} such rows; the file may be truncated).",
                f"{row.expected_columns} columns, as in the header",
                "complete or delete the row.",
            )
        frame = table.to_pandas()
        header = frame.iloc[0].tolist()
        frame = frame.iloc[1:]
        frame.index = pd.RangeIndex(1, len(frame) + 1, name="row")
        frame.columns = [name.strip() for name in header]
        frame.attrs["source"] = str(path)
        return frame

    def preview(self, nrows: int = 5) -> TablePreview:
        """Returns the first rows, as kedro-viz shows them."""
        # By position: header names may repeat.
        rows = pd.read_csv(
            self._filepath,
            header=None,
            nrows=nrows + 1,
            dtype=str,
            keep_default_na=False,
            encoding="utf-8-sig",
        )
        shown = rows.iloc[1:]
        return TablePreview(
            {
                "index": shown.index.tolist(),
                "columns": rows.iloc[0].tolist(),
                "data": shown.to_numpy().tolist(),
            }
        )

    def save(self, data: None) -> None:
        """Raw data is never written."""
        raise InputError(f"{self._filepath}: raw data is read only.")

    def _exists(self) -> bool:
        return self._filepath.is_file()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath)}


def _count_columns(header: str, path: Path) -> int:
    import csv

    columns = next(csv.reader([header]), [])
    if not columns:
        raise InputError(f"{path}: the file is empty.", "a header line and one row per video")
    return len(columns)


def _check_encoding(path: Path) -> None:
    """Finds the line of the first byte that is not UTF-8, reading line by line."""
    with open(path, "rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                line.decode()
            except UnicodeDecodeError as error:
                raise InputError(
                    f"{path}: line {number} is not UTF-8 (byte {error.start} is 0x{line[error.start]:02x}).",
                    "UTF-8",
                    "save the file as UTF-8, for example with `iconv -f LATIN1 -t UTF-8`.",
                ) from None
