"""Nodes of the promotion: read both versions, decide, move the alias."""

import logging
from typing import Any

from vidpop_pipelines.pipelines.promote.decision import decide
from vidpop_pipelines.pipelines.promote.parameters import PromoteParameters

logger = logging.getLogger(__name__)


def read_versions(parameters: PromoteParameters) -> dict[str, Any]:
    """Reads the candidate and the present champion from MLflow's registry.

    Returns:
        `candidate` and `champion` (None if nothing has been promoted), as `decision.Version`.
    """
    from vidpop_pipelines.registry import champion_version, read_version

    name = parameters.family
    champion = champion_version(name)
    return {
        "candidate": read_version(name, parameters.version),
        "champion": None if champion is None else read_version(name, champion),
    }


def decide_promotion(versions: dict[str, Any], parameters: PromoteParameters) -> dict[str, Any]:
    """Applies the rule; see `decision.decide`."""
    return decide(versions["candidate"], versions["champion"], parameters)


def move_champion(decision: dict[str, Any]) -> dict[str, Any]:
    """Moves the alias if that was decided, and says why or why not.

    Returns:
        The decision.
    """
    from vidpop_pipelines.registry import set_champion

    if decision["promoted"]:
        set_champion(decision["family"], decision["candidate"]["number"], decision["reason"])
    reason = decision["reason"]
    logger.info("%s%s", reason[0].upper(), reason[1:])
    return decision
