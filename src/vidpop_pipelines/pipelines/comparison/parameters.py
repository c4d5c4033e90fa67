"""Parameters of the comparison: the `comparison` tree of conf/*/parameters/comparison.yml."""

from pydantic import Field, PositiveInt

from vidpop_pipelines.parameters import Parameters


class ComparisonParameters(Parameters):
    """The `comparison` parameters.

    Attributes:
        fewest_shared_videos: Families that share fewer test videos are not compared with each other.
        n_resamples: Draws of the paired bootstrap.
        confidence: Probability of its intervals.
        seed: Seed of its draws.
    """

    fewest_shared_videos: int = Field(10, ge=2)
    n_resamples: PositiveInt = 2000
    confidence: float = Field(0.95, gt=0, lt=1)
    seed: int = 42
