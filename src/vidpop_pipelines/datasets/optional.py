"""A dataset that may be absent."""

from copy import deepcopy
from typing import Any

from kedro.io import AbstractDataset


class OptionalDataset(AbstractDataset[Any, Any]):
    """Loads another dataset, or None where there is nothing to load.

    For inputs that a run may or may not have left behind: a split given beside the data, the results of
    a family that was not run.

    Args:
        dataset: Configuration of the other dataset, as in the catalog.
        metadata: Kedro metadata.
    """

    def __init__(self, dataset: dict[str, Any], metadata: dict[str, Any] | None = None):
        # from_config empties the dictionary it is given.
        self._dataset = AbstractDataset.from_config("optional", deepcopy(dataset))
        self.metadata = metadata

    def load(self) -> Any:
        """Returns the other dataset's content, or None."""
        return self._dataset.load() if self._dataset.exists() else None

    def save(self, data: Any) -> None:
        """Saves the other dataset."""
        self._dataset.save(data)

    def _exists(self) -> bool:
        return True

    def _describe(self) -> dict[str, Any]:
        return {"dataset": str(self._dataset)}
