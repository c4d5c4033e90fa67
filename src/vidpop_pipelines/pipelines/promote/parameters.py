"""Parameters of the promotion: the `promote` tree of conf/*/parameters/promote.yml."""

from typing import Literal

from pydantic import Field, PositiveInt

from vidpop_pipelines.parameters import Parameters


class PromoteParameters(Parameters):
    """The `promote` parameters.

    Attributes:
        family: Name of the registered model, which is the name of the pipeline.
        version: The candidate: `latest` or the number of a version.
        metric: A key of metrics.json; null: the main one of the family (`decision.main_metric`).
        lower_is_better: Direction of the metric; null: known from its name.
        minimal_improvement: By how much the candidate must beat the present champion, in units of the metric. A tie
            never moves the alias.
        across_data: Whether a candidate may follow a champion that was trained, tested or chosen on other data. Their
            figures say nothing about each other then, and are not compared.
    """

    family: str = "smtpd_ep"
    version: PositiveInt | Literal["latest"] = "latest"
    metric: str | None = None
    lower_is_better: bool | None = None
    minimal_improvement: float = Field(0.0, ge=0)
    across_data: bool = False
