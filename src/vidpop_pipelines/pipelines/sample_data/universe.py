r"""The generative process behind the sample: channels, videos, their daily views and reactions.

All effects on popularity are in log2 views, the unit of the SMTPD score. Every latent variable is N(0, 1)
unless said otherwise, e_1, e_2, ... are fresh N(0, 1) noise, and sigmoid(x) = 1 / (1 + exp(-x)).

**Channels.** Every 100 videos share a pool of 30 channels of their own, the k-th of which publishes with
probability proportional to k^-0.8. A channel has a strength a, the loyalty l of its audience, a main
category, a language, and

    followers = exp(8.5 + 1.8 a + 0.5 e_1)      posts = 40 + exp(4.2 + 0.5 a + 0.6 e_2)

**Videos.** A video has its channel's main category with probability 0.8, else any. Its quality q shows in
three ways, each visible in one modality: m = sqrt(0.3) q + sqrt(0.7) e for m in look (thumbnail), motion
(clip) and wording (title, tags). It is published at any minute of two years. Views of its first 30 days:

    log2 V = 15.5 + 1.3 a + category + language + 0.75 look + 0.7 motion + 0.75 wording
             + 0.3 weekend + 0.3 cos(2 pi (hour - 18) / 24) - 0.3 |ln(duration / usual)| + 0.9 e

**Daily views.** V is spread over the days by one of four shapes s(d), normalised to sum 1 over 30 days:

    exponential  exp(-(d - 1) / tau)                  tau = exp(1.0 + 0.3 c - 0.3 l + 0.3 e)
    power        d^-theta                             theta = 1.1 - 0.25 c + 0.2 l + 0.2 e, at least 0.2
    slow_burn    0.06 + sigmoid((d - m) / 2.5)        m = 8 - 1.5 wording + 3 e, within 2 and 20
    revival      d^-theta + h exp(-(d - r)^2 / 4.5)   r uniform in 8..26, h = exp(-1 + 0.3 motion + 0.5 e)

where c = (look + motion + wording) / 2.2 has unit variance. The shape is the one whose logit plus Gumbel
noise is largest; logits are 0, 0.4, -0.4, -0.8, plus 1.2 for the category's usual shape, 0.7 l for
exponential, 0.6 wording for slow_burn (found by search) and 0.6 motion for revival (shared again). A day's
views are

    floor(V s(d) (1.15 on a weekend) exp(0.2 u_d)),        u_d = 0.6 u_(d-1) + 0.8 e_d

**Reactions.** With n views in all and g the category's liking,

    likes    = round(n * min(0.5, 0.04  exp(g + 0.30 wording + 0.25 look - 0.12 a + 0.35 e)))
    comments = round(n * min(0.2, 0.004 exp(    0.35 motion + 0.25 q    - 0.10 a + 0.50 e)))
    ECR      = sigmoid(0.2 + 0.9 motion + 0.4 look + 0.2 wording - 0.5 ln(duration / usual) + 0.5 e)

ECR is the share of viewers who watch on after the first five seconds, as in SnapUGC.

**Precomputed features** of modality m are tanh(z W + 0.8 E) with fixed random W of rows of length 1, noise E
and z = (1.3 m, 0.5 q, 0.35 a, category, language): see `draw_features`.

Every variable has a random stream of its own, drawn in the order of the videos: a video is the same in a
sample of any size. Only what compares videos (the folds, hence the MoFA hold-out) depends on the size.
"""

import zlib
from dataclasses import dataclass

import numpy as np
import pandas as pd

from vidpop_pipelines.pipelines.sample_data.parameters import SampleDataParameters
from vidpop_pipelines.pipelines.sample_data.vocabulary import CATEGORIES, LANGUAGES

VIDEOS_PER_POOL = 100
CHANNELS_PER_POOL = 30
HORIZON_DAYS = 30
FIRST_DAY = np.datetime64("2023-01-01T00:00", "s")
MINUTES = 2 * 365 * 24 * 60
SHAPES = ("exponential", "power", "slow_burn", "revival")


@dataclass(frozen=True)
class CategoryTraits:
    """How videos of a category differ.

    Attributes:
        share: Relative number of channels.
        reach: Effect on log2 views.
        liking: Effect on the natural logarithm of likes per view.
        minutes: Usual duration.
        shape: Usual shape of the daily views.
    """

    share: float
    reach: float
    liking: float
    minutes: float
    shape: str


TRAITS = {
    "Film & Animation": CategoryTraits(7, 0.2, 0.0, 8.0, "power"),
    "Autos & Vehicles": CategoryTraits(5, -0.2, -0.1, 10.0, "slow_burn"),
    "Music": CategoryTraits(13, 0.8, 0.4, 4.0, "power"),
    "Pets & Animals": CategoryTraits(5, 0.1, 0.3, 3.0, "revival"),
    "Sports": CategoryTraits(7, 0.3, -0.3, 6.0, "exponential"),
    "Travel & Events": CategoryTraits(4, -0.4, 0.0, 12.0, "slow_burn"),
    "Gaming": CategoryTraits(10, 0.4, 0.2, 15.0, "power"),
    "People & Blogs": CategoryTraits(11, 0.0, 0.2, 9.0, "power"),
    "Comedy": CategoryTraits(7, 0.5, 0.4, 4.0, "revival"),
    "Entertainment": CategoryTraits(12, 0.6, 0.0, 9.0, "exponential"),
    "News & Politics": CategoryTraits(8, -0.1, -0.7, 5.0, "exponential"),
    "Howto & Style": CategoryTraits(5, 0.0, 0.1, 8.0, "slow_burn"),
    "Education": CategoryTraits(4, -0.3, 0.1, 14.0, "slow_burn"),
    "Science & Technology": CategoryTraits(4, -0.1, 0.0, 11.0, "power"),
    "Nonprofits & Activism": CategoryTraits(3, -0.8, -0.1, 6.0, "exponential"),
}


def stream(seed: int, name: str, index: int = 0) -> np.random.Generator:
    """Returns the random stream of one variable, and of one video where `index` is given."""
    return np.random.default_rng([seed, zlib.crc32(name.encode()), index])


def sigmoid(values: np.ndarray) -> np.ndarray:
    """Returns 1 / (1 + exp(-values))."""
    return 1 / (1 + np.exp(-values))


def _trait(name: str) -> np.ndarray:
    return np.array([getattr(TRAITS[category], name) for category in CATEGORIES])


def _choose(uniform: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Turns uniform draws into indices chosen with the given weights."""
    limits = np.cumsum(weights) / np.sum(weights)
    return np.minimum(np.searchsorted(limits, uniform, side="right"), len(limits) - 1)


def draw_channels(params: SampleDataParameters) -> pd.DataFrame:
    """Draws the channels.

    Args:
        params: Size and seed of the sample.

    Returns:
        One row per channel: latents, followers, posts, average views, date of creation, and whether it
        hides its number of followers.
    """
    n_channels = -(-params.videos // VIDEOS_PER_POOL) * CHANNELS_PER_POOL

    def normal(name: str) -> np.ndarray:
        return stream(params.seed, f"channel.{name}").standard_normal(n_channels)

    def uniform(name: str) -> np.ndarray:
        return stream(params.seed, f"channel.{name}").random(n_channels)

    strength = normal("strength")
    language = _choose(uniform("language"), np.array([language.share for language in LANGUAGES]))
    reach = np.array([language.reach for language in LANGUAGES])[language]
    age_in_days = np.rint(np.exp(6.5 + 0.8 * normal("age"))).astype("timedelta64[D]")
    return pd.DataFrame(
        {
            "channel_id": [f"channel_{number:04d}" for number in range(1, n_channels + 1)],
            "strength": strength,
            "loyalty": normal("loyalty"),
            "main_category": _choose(uniform("category"), _trait("share")),
            "language": language,
            "language_reach": reach,
            "hue_shift": 0.04 * normal("hue"),
            "followers": np.rint(np.exp(8.5 + 1.8 * strength + 0.5 * normal("followers"))).astype(np.int64),
            "posts": 40 + np.rint(np.exp(4.2 + 0.5 * strength + 0.6 * normal("posts"))).astype(np.int64),
            "average_views": np.rint(2 ** (15.0 + 1.3 * strength + reach + 0.4 * normal("average"))),
            "created_at": FIRST_DAY - age_in_days,
            "hides_followers": uniform("hides_followers") < 0.04,
        }
    )


def draw_videos(params: SampleDataParameters) -> pd.DataFrame:
    """Draws the videos with their latent variables and the columns of their channels.

    Args:
        params: Size and seed of the sample.

    Returns:
        One row per video, (videos, ...), in an order that has nothing to do with publish time.
    """

    def normal(name: str) -> np.ndarray:
        return stream(params.seed, f"video.{name}").standard_normal(params.videos)

    def uniform(name: str) -> np.ndarray:
        return stream(params.seed, f"video.{name}").random(params.videos)

    number = np.arange(params.videos)
    rank = _choose(uniform("channel"), np.arange(1, CHANNELS_PER_POOL + 1) ** -0.8)
    channel = number // VIDEOS_PER_POOL * CHANNELS_PER_POOL + rank
    videos = draw_channels(params).iloc[channel].reset_index(drop=True)

    other_category = _choose(uniform("category"), _trait("share"))
    category = np.where(uniform("main") < 0.8, videos.pop("main_category"), other_category)
    quality = normal("quality")
    content = {
        name: np.sqrt(0.3) * quality + np.sqrt(0.7) * normal(name) for name in ("look", "motion", "wording")
    }
    minutes = np.floor(MINUTES * uniform("published")).astype("timedelta64[m]")
    off_usual = 0.6 * normal("duration")
    videos = videos.assign(
        video_id=[f"sample_{i:05d}" for i in number + 1],
        category=category,
        quality=quality,
        **content,
        published_at=FIRST_DAY + minutes,
        duration_off_usual=off_usual,
        duration_seconds=np.rint(60 * _trait("minutes")[category] * np.exp(off_usual)).astype(np.int64),
    )
    hour = videos.published_at.dt.hour + videos.published_at.dt.minute / 60
    log2_views = (
        15.5
        + 1.3 * videos.strength
        + _trait("reach")[category]
        + videos.language_reach
        + 0.75 * videos.look
        + 0.7 * videos.motion
        + 0.75 * videos.wording
        + 0.3 * (videos.published_at.dt.day_of_week >= 5)
        + 0.3 * np.cos(2 * np.pi * (hour - 18) / 24)
        - 0.3 * np.abs(off_usual)
        + 0.9 * normal("views")
    )
    return videos.assign(log2_views=log2_views, shape=_draw_shapes(videos, params))


def _draw_shapes(videos: pd.DataFrame, params: SampleDataParameters) -> np.ndarray:
    """Draws each video's shape of daily views, as an index into `SHAPES`."""
    logits = np.tile([0.0, 0.4, -0.4, -0.8], (len(videos), 1))
    usual = np.array([SHAPES.index(shape) for shape in _trait("shape")])[videos.category]
    logits[np.arange(len(videos)), usual] += 1.2
    logits[:, 0] += 0.7 * videos.loyalty
    logits[:, 2] += 0.6 * videos.wording
    logits[:, 3] += 0.6 * videos.motion
    return np.argmax(logits + stream(params.seed, "video.shape").gumbel(size=logits.shape), axis=1)


def daily_shares(videos: pd.DataFrame, days: int, params: SampleDataParameters) -> np.ndarray:
    """Computes the noiseless share of the first 30 days' views that each day has.

    Args:
        videos: Videos as drawn by `draw_videos`.
        days: Number of days to return; shares add up to 1 over the first 30.
        params: Seed of the sample.

    Returns:
        Shares of shape (videos, days).
    """
    noise = stream(params.seed, "video.curve").standard_normal((len(videos), 3))
    bump_day = stream(params.seed, "video.bump").integers(8, 27, size=(len(videos), 1))
    day = np.arange(1, max(days, HORIZON_DAYS) + 1)
    content = (videos.look + videos.motion + videos.wording) / 2.2
    tau = np.exp(1.0 + 0.3 * content - 0.3 * videos.loyalty + 0.3 * noise[:, 0]).to_numpy()[:, None]
    theta = (
        (1.1 - 0.25 * content + 0.2 * videos.loyalty + 0.2 * noise[:, 0]).clip(lower=0.2).to_numpy()[:, None]
    )
    midpoint = (8 - 1.5 * videos.wording + 3 * noise[:, 1]).clip(2, 20).to_numpy()[:, None]
    height = np.exp(-1 + 0.3 * videos.motion + 0.5 * noise[:, 2]).to_numpy()[:, None]
    candidates = np.stack(
        [
            np.exp(-(day - 1) / tau),
            day**-theta,
            0.06 + sigmoid((day - midpoint) / 2.5),
            day**-theta + height * np.exp(-((day - bump_day) ** 2) / 4.5),
        ]
    )
    chosen = candidates[videos["shape"].to_numpy(), np.arange(len(videos))]
    return (chosen / chosen[:, :HORIZON_DAYS].sum(axis=1, keepdims=True))[:, :days]


def draw_daily_views(videos: pd.DataFrame, params: SampleDataParameters) -> pd.DataFrame:
    """Draws the views of each day after publication.

    Args:
        videos: Videos as drawn by `draw_videos`.
        params: Seed of the sample and number of days.

    Returns:
        Integer views of shape (videos, days), columns 1..days.
    """
    shares = daily_shares(videos, params.days, params)
    shocks = stream(params.seed, "video.daily").standard_normal((len(videos), params.days))
    noise = np.empty_like(shocks)
    noise[:, 0] = shocks[:, 0]
    for day in range(1, params.days):
        noise[:, day] = 0.6 * noise[:, day - 1] + 0.8 * shocks[:, day]
    weekday = videos.published_at.dt.day_of_week.to_numpy()[:, None] + np.arange(params.days)
    weekend = np.where(weekday % 7 >= 5, 1.15, 1.0)
    views = 2 ** videos.log2_views.to_numpy()[:, None] * shares * weekend * np.exp(0.2 * noise)
    return pd.DataFrame(np.floor(views).astype(np.int64), columns=range(1, params.days + 1))


def draw_reactions(
    videos: pd.DataFrame, daily_views: pd.DataFrame, params: SampleDataParameters
) -> pd.DataFrame:
    """Draws what viewers did.

    Args:
        videos: Videos as drawn by `draw_videos`.
        daily_views: Views per day, (videos, days).
        params: Seed of the sample.

    Returns:
        Columns views, likes, comments (counts at the last day) and ecr (0..1), one row per video.
    """
    noise = stream(params.seed, "video.reactions").standard_normal((len(videos), 3))
    views = daily_views.sum(axis=1)
    liking = _trait("liking")[videos.category] + 0.3 * videos.wording + 0.25 * videos.look
    likes = 0.04 * np.exp(liking - 0.12 * videos.strength + 0.35 * noise[:, 0])
    talk = 0.35 * videos.motion + 0.25 * videos.quality - 0.1 * videos.strength
    comments = 0.004 * np.exp(talk + 0.5 * noise[:, 1])
    watched_on = 0.2 + 0.9 * videos.motion + 0.4 * videos.look + 0.2 * videos.wording
    ecr = sigmoid(watched_on - 0.5 * videos.duration_off_usual + 0.5 * noise[:, 2])
    return pd.DataFrame(
        {
            "views": views,
            "likes": np.rint(views * likes.clip(upper=0.5)).astype(np.int64),
            "comments": np.rint(views * comments.clip(upper=0.2)).astype(np.int64),
            "ecr": ecr,
        }
    )


def draw_features(videos: pd.DataFrame, latent: str, width: int, params: SampleDataParameters) -> np.ndarray:
    """Draws the features that a pretrained encoder might have computed for one modality.

    Args:
        videos: Videos as drawn by `draw_videos`.
        latent: Column of the content latent that this modality shows: look, motion or wording.
        width: Number of features.
        params: Seed of the sample.

    Returns:
        Float32 features of shape (videos, width), between -1 and 1.
    """
    signal = np.column_stack(
        [
            1.3 * videos[latent],
            0.5 * videos.quality,
            0.35 * videos.strength,
            np.eye(len(CATEGORIES))[videos.category],
            np.eye(len(LANGUAGES))[videos.language],
        ]
    )
    weights = stream(params.seed, f"features.{latent}.weights").standard_normal((signal.shape[1], width))
    noise = stream(params.seed, f"features.{latent}").standard_normal((len(videos), width))
    weights /= np.linalg.norm(weights, axis=1, keepdims=True)
    return np.tanh(signal @ weights + 0.8 * noise).astype(np.float32)
