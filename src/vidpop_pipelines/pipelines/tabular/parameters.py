"""Parameters that `ensemble` and `multitask` share: the `tabular` tree of conf/*/parameters/tabular.yml."""

from pydantic import Field

from vidpop_pipelines.pipelines.tabular.table import TableOptions


class TabularParameters(TableOptions):
    """The table, how its columns are read, and how it is split.

    Attributes:
        csv: Table of videos, see docs/data_formats.md for its columns.
        n_folds: The videos are cut into so many blocks of time; the newest is the test fold.
        recency_days: A training video that is older than the newest by so many days counts half; null gives all
            the same weight.
        seed: Of everything that is random.
    """

    csv: str
    n_folds: int = Field(default=5, ge=3)
    recency_days: float | None = Field(default=365.0, gt=0)
    seed: int = 42
