"""Titles, tags and descriptions of the sample, composed from the words in `vocabulary`.

The topic words come from the video's category, the language from its channel. The wording latent shows in
the hook, in the badge after the title and in the number of tags, each with noise of its own.
"""

import numpy as np
import pandas as pd

from vidpop_pipelines.pipelines.sample_data.parameters import SampleDataParameters
from vidpop_pipelines.pipelines.sample_data.universe import sigmoid, stream
from vidpop_pipelines.pipelines.sample_data.vocabulary import CATEGORIES, LANGUAGES

# Marks that creators append in any language, ordered like the hooks.
BADGES = ("(test)", "(raw)", "pt. 2", "", "vlog", "HD", "4K", "LIVE", "🔥", "OFFICIAL 🔥", "😱🔥")
# Tags that creators add in any language, after the topic's own.
GENERAL_TAGS = ("trending", "viral", "shorts", "new", "fyp", "top")


def compose_texts(videos: pd.DataFrame, params: SampleDataParameters) -> pd.DataFrame:
    """Writes title, tags and description of every video.

    Args:
        videos: Videos as drawn by `universe.draw_videos`.
        params: Seed of the sample.

    Returns:
        Columns title (str), tags (list of str) and description (str), one row per video.
    """
    uniform = stream(params.seed, "text.choice").random((len(videos), 6))
    noise = stream(params.seed, "text.noise").standard_normal((len(videos), 3))
    # Within (0, 1) and about uniform: 1.7 makes the logistic function close to the normal distribution's.
    level = sigmoid(1.7 * (videos.wording.to_numpy()[:, None] + 0.35 * noise[:, :2]))
    n_tags = np.rint(5 + 1.8 * videos.wording + noise[:, 2]).clip(1, 5 + len(GENERAL_TAGS)).astype(int)
    rows = [
        _compose(*row)
        for row in zip(
            videos.language, videos.category, n_tags, level.tolist(), uniform.tolist(), strict=True
        )
    ]
    return pd.DataFrame(rows, columns=["title", "tags", "description"])


def _compose(
    language_index: int, topic: int, n_tags: int, level: list[float], uniform: list[float]
) -> tuple[str, list[str], str]:
    """Writes one video's texts from its language, topic, wording levels and six uniform draws."""
    language = LANGUAGES[language_index]
    words = _shuffle(language.words[topic], uniform[:4])
    template = language.templates[int(uniform[4] * len(language.templates))]
    hook = language.hooks[int(level[0] * len(language.hooks))]
    badge = BADGES[int(level[1] * len(BADGES))]
    title = f"{template.format(a=words[0], b=words[1], hook=hook)} {badge}".strip()
    tags = [*words, *GENERAL_TAGS][:n_tags]
    hashtag = CATEGORIES[topic].split()[0].lower()
    description = f"{language.description.format(a=words[0], b=words[1], c=words[2])} #{hashtag}"
    return title[0].upper() + title[1:], tags, description


def _shuffle(words: tuple[str, ...], uniform: list[float]) -> list[str]:
    """Shuffles by Fisher-Yates; needs one uniform draw less than there are words."""
    shuffled = list(words)
    for last, draw in zip(range(len(words) - 1, 0, -1), uniform, strict=True):
        other = int(draw * (last + 1))
        shuffled[last], shuffled[other] = shuffled[other], shuffled[last]
    return shuffled
