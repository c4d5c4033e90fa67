"""The rule: does a candidate become champion, and why."""

import re
from collections.abc import Mapping
from typing import Any

from vidpop_pipelines.errors import InputError
from vidpop_pipelines.pipelines.promote.parameters import PromoteParameters
from vidpop_pipelines.registry import Version

# What both must have in common for their figures to say anything about each other.
COMPARED_TAGS = ("data_fingerprint", "test_fingerprint", "protocol")
_HIGHER_IS_BETTER = re.compile(
    r"(.*_)?(accuracy|f1_weighted|precision_weighted|recall_weighted|roc_auc|srcc|plcc|r2|r2_log)$"
    r"|asrc_\d+_\d+$|src_day_\d+$"
)
_LOWER_IS_BETTER = re.compile(
    r"(.*_)?(rmse|mae|mape|median_ape|ece|log_loss|score)$|amae_\d+_\d+$|mae_day_\d+$|nmse_.+$"
)


def main_metric(metrics: Mapping[str, float]) -> str | None:
    """Returns the metric to judge by: `score`, the widest `amae_<from>_<to>`, `log_mae` or `f1_weighted`; else None."""
    windows = [match for match in (re.match(r"amae_(\d+)_(\d+)$", name) for name in metrics) if match]
    widest = max(windows, key=lambda match: int(match[2]) - int(match[1]), default=None)
    candidates = ["score", widest and widest[0], "log_mae", "f1_weighted"]
    return next((name for name in candidates if name in metrics), None)


def is_lower_better(metric: str) -> bool:
    """Returns the direction of a metric.

    Raises:
        InputError: If it has none that is known: the nearer to something, the better (`coverage`), or a new one.
    """
    base = metric.partition(".")[0]
    if _HIGHER_IS_BETTER.match(base):
        return False
    if _LOWER_IS_BETTER.match(base):
        return True
    raise InputError(
        f"Whether a lower or a higher {metric} is better is not known.",
        "an error or a score",
        "say it with promote.lower_is_better=true or false.",
    )


def decide(candidate: Version, champion: Version | None, parameters: PromoteParameters) -> dict[str, Any]:
    """Decides whether the candidate becomes champion.

    Args:
        candidate: The version asked for.
        champion: The present champion, if there is one.
        parameters: The rule.

    Returns:
        `promoted`, `reason`, and everything that was looked at.

    Raises:
        InputError: If the metric is not there, or both were made from different data.
    """
    metric = parameters.metric or main_metric(candidate.metrics)
    value = _value(candidate, metric, parameters)
    lower = is_lower_better(metric) if parameters.lower_is_better is None else parameters.lower_is_better
    decision: dict[str, Any] = {"family": parameters.family, "metric": metric, "lower_is_better": lower}
    decision |= {"minimal_improvement": parameters.minimal_improvement, "across_data": parameters.across_data}
    decision["candidate"] = _shown(candidate, metric)
    decision |= {"champion": None, "improvement": None}
    this = f"version {candidate.number} of {parameters.family} ({metric} {value:.6g})"
    if champion is None:
        return decision | {"promoted": True, "reason": f"{this} becomes champion: there was none."}
    decision["champion"] = _shown(champion, metric)
    if champion.number == candidate.number:
        return decision | {"promoted": False, "reason": f"{this} is champion already."}
    # What is unknown is not known to be the same.
    different = [
        tag
        for tag in COMPARED_TAGS
        if candidate.tags.get(tag) is None or candidate.tags[tag] != champion.tags.get(tag)
    ]
    if different:
        if not parameters.across_data:
            raise _other_data(candidate, champion, different, parameters.family)
        reason = (
            f"{this} becomes champion without a comparison, as asked: version {champion.number} has another"
        )
        return decision | {"promoted": True, "reason": f"{reason} {', '.join(different)}."}
    present = _value(champion, metric, parameters)
    improvement = present - value if lower else value - present
    promoted = improvement > 0 and improvement >= parameters.minimal_improvement
    asked = (
        f"at least {parameters.minimal_improvement:g}" if parameters.minimal_improvement else "more than 0"
    )
    reason = (
        f"{this} {'becomes' if promoted else 'does not become'} champion: the champion, version {champion.number}, has"
        f" {present:.6g}; an improvement of {improvement:.6g}, where {asked} is asked."
    )
    return decision | {"improvement": improvement, "promoted": promoted, "reason": reason}


def _shown(version: Version, metric: str) -> dict[str, Any]:
    tags = {tag: version.tags.get(tag) for tag in COMPARED_TAGS}
    return {"number": version.number, "run_id": version.run_id, metric: version.metrics.get(metric)} | tags


def _value(version: Version, metric: str | None, parameters: PromoteParameters) -> float:
    if metric is None or metric not in version.metrics:
        names = sorted(name for name in version.metrics if "." not in name and "_day_" not in name)
        raise InputError(
            f"Version {version.number} of {parameters.family} has no metric {metric or 'to be judged by'}.",
            f"one of {', '.join(names) or '(its run logged none: it did not end)'}",
            "choose another with promote.metric, or another promote.version.",
        )
    return version.metrics[metric]


def _other_data(candidate: Version, champion: Version, different: list[str], family: str) -> InputError:
    shown = "; ".join(
        f"{tag}: {_short(candidate.tags.get(tag))} and {_short(champion.tags.get(tag))}" for tag in different
    )
    return InputError(
        f"Version {candidate.number} of {family} cannot be compared with the champion, version {champion.number}: they"
        f" were not made from the same data ({shown}).",
        f"the same {', '.join(COMPARED_TAGS)}",
        "train again on the data of the champion, or train the champion's settings on the new data and compare these;"
        " promote.across_data=true moves the alias without a comparison.",
    )


def _short(value: str | None) -> str:
    return "unknown" if value is None else value[:12]
