"""Which column of a table is which: names, their usual synonyms, and the user's own mapping."""

import re
from dataclasses import dataclass
from difflib import get_close_matches

from vidpop_pipelines.errors import InputError
from vidpop_pipelines.features.columns import column_title, find_named, find_usual, normalise_name, only_one

TEXT_FIELDS = ["title", "description", "channel_id", "definition", "caption", "language"]
LIST_FIELDS = ["tags", "categories"]
DATE_FIELDS = ["published_at", "channel_created_at"]
NUMERICAL_FIELDS = [
    "duration_seconds",
    "subscribers",
    "channel_video_count",
    "channel_avg_views",
    "num_tags",
    "age_hours",
]
LABELS = ["views", "likes", "comments"]
# Statistics of the channel when the table was read, not when the video appeared.
CRAWL_TIME_FIELDS = ["subscribers", "channel_video_count", "channel_avg_views"]

# Names are compared without case; spaces, dots and hyphens count as underscores, and `publishedAt` is
# `published_at`. Of several tiers the first that the table has is taken: a channel's id goes before its name,
# which need not be unique, and the name of a category before its number. `trending_date` is no publish date.
_SYNONYMS: dict[str, list[str]] = {
    "video_id": ["video_id id videoid youtube_id youtube_video_id"],
    "title": ["title video_title"],
    "description": ["description video_description"],
    "tags": ["tags tag video_tags keywords"],
    "categories": [
        "categories category category_name category_title video_category genre genres",
        "category_id video_category_id",
    ],
    "duration_seconds": [
        "duration_seconds duration duration_sec duration_secs duration_s duration_in_seconds video_duration"
        " video_duration_seconds length length_seconds video_length video_length_seconds"
    ],
    "published_at": [
        "published_at published publish_time publish_date publish_datetime published_date published_time"
        " date_published time_published upload_date upload_time uploaded_at date_uploaded video_published_at"
        " video_publish_time video_publish_date video_created_at video_upload_date"
    ],
    "channel_id": [
        "channel_id channelid uploader_id user_id author_id creator_id",
        "channel channel_title channel_name channeltitle uploader author creator username user",
    ],
    "subscribers": [
        "subscribers subscriber_count subscribers_count num_subscribers channel_subscribers"
        " channel_subscriber_count followers follower_count channel_followers channel_follower_count"
    ],
    "channel_video_count": [
        "channel_video_count channel_videos channel_num_videos channel_videos_count channel_upload_count"
        " channel_uploads video_count num_videos n_videos"
    ],
    "channel_avg_views": [
        "channel_avg_views channel_average_views channel_mean_views channel_avg_view_count avg_views average_views"
        " avg_views_per_video"
    ],
    "channel_created_at": [
        "channel_created_at channel_published_at channel_created channel_created_date channel_creation_date"
        " channel_publish_date channel_start_date channel_published"
    ],
    "num_tags": ["num_tags n_tags tag_count tags_count number_of_tags"],
    "age_hours": [
        "age_hours video_age_hours hours_published_video hours_since_published hours_since_publish"
        " hours_since_upload"
    ],
    "definition": ["definition video_definition"],
    "caption": ["caption captions video_caption"],
    "language": ["language lang video_language default_language", "default_audio_language"],
    "views": [
        "views view_count views_count viewcount num_views video_views video_view_count play_count plays"
    ],
    "likes": ["likes like_count likes_count likecount num_likes video_likes video_like_count"],
    "comments": [
        "comments comment_count comments_count commentcount num_comments comment_total video_comments"
        " video_comment_count"
    ],
}
FIELDS = list(_SYNONYMS)
# Read together with the views and moving with them: the answer in another form.
_ANSWERS = (
    "channel_views channel_view_count channel_views_count channel_views_total channel_total_views total_channel_views"
    " dislikes dislike_count favorites favorite_count favourite_count shares share_count saves save_count like_ratio"
    " engagement engagement_rate watch_time watch_time_hours"
)
_DAY = re.compile(r"(?:views_)?day_(\d+)")


@dataclass(frozen=True)
class ColumnPositions:
    """Where in the table each field stands.

    Attributes:
        fields: Field -> position of its column, in the order of `FIELDS`.
        days: Position of the column of each day, day 1 first.
        answers: Positions of columns that contain the answer, which are never read.
        ignored: Positions of columns that nothing here knows, or that stand behind a better one.
    """

    fields: dict[str, int]
    days: list[int]
    answers: list[int]
    ignored: list[int]


def find_columns(header: list[str], mapping: dict[str, str], source: str) -> ColumnPositions:
    """Finds the fields in a header, by the user's mapping first and by name and synonym then.

    Args:
        header: Names of the columns; they may repeat.
        mapping: Field (or `views_day_<d>`) -> name of the user's column.
        source: Name of the file, for messages.

    Returns:
        The position of every field that the table has.

    Raises:
        InputError: If the mapping names an unknown field or an absent column, if two columns mean the same
            and the mapping does not decide, or if the days are not consecutive from 1.
    """
    names = [normalise_name(name) for name in header]
    mapped = {field: _mapped_position(field, column, header, source) for field, column in mapping.items()}
    _check_mapped_once(mapped, header, source)
    free = [position for position in range(len(header)) if position not in mapped.values()]
    fields = dict(mapped)
    for field, tiers in _SYNONYMS.items():
        if field in mapped:
            continue
        position = find_usual(field, tiers, free, _option(field), header, source)
        if position is not None:
            fields[field] = position
    days = _find_days(names, free, fields, header, source)
    used = {*fields.values(), *days}
    answers = [p for p in free if names[p] in _ANSWERS.split() and p not in used]
    return ColumnPositions(
        fields={field: fields[field] for field in FIELDS if field in fields},
        days=days,
        answers=answers,
        ignored=[p for p in free if p not in used and p not in answers],
    )


def synonyms(field: str) -> list[str]:
    """Returns the names by which a field is recognised, its own first."""
    return " ".join(_SYNONYMS[field]).split()


def _option(field: str) -> str:
    return f"tabular.columns.{field}"


def _mapped_position(field: str, column: str, header: list[str], source: str) -> int:
    if field not in FIELDS and not re.fullmatch(r"views_day_[1-9]\d*", field):
        near = get_close_matches(field, FIELDS, n=1, cutoff=0)[0]
        raise InputError(
            f"{_option(field)}: there is no such field; did you mean '{near}'?",
            f"one of {', '.join(FIELDS)}, or views_day_<d>",
        )
    return find_named(field, column, _option(field), header, source)


def _check_mapped_once(mapped: dict[str, int], header: list[str], source: str) -> None:
    by_position: dict[int, str] = {}
    for field, position in mapped.items():
        if position in by_position:
            raise InputError(
                f"tabular.columns gives column '{column_title(header, position)}' of {source} two meanings:"
                f" {by_position[position]} and {field}.",
                "one meaning for each column",
            )
        by_position[position] = field


def _find_days(
    names: list[str], free: list[int], fields: dict[str, int], header: list[str], source: str
) -> list[int]:
    found: dict[int, list[int]] = {}
    for position in free:
        match = _DAY.fullmatch(names[position])
        if match and f"views_day_{int(match[1])}" not in fields:
            found.setdefault(int(match[1]), []).append(position)
    days = {}
    for day, positions in found.items():
        name = f"views_day_{day}"
        days[day] = only_one(name, positions, _option(name), header, source)
    days |= {int(_DAY.fullmatch(name)[1]): p for name, p in fields.items() if _DAY.fullmatch(name)}
    wrong = sorted(set(days) ^ set(range(1, len(days) + 1)))
    if wrong:
        raise InputError(
            f"{source}: the daily views are those of days {', '.join(map(str, sorted(days)))};"
            f" day {wrong[0]} {'is too many' if wrong[0] in days else 'is missing'}.",
            "consecutive days from 1: views_day_1, views_day_2 ...",
            "add the missing column (its cells may be empty), or rename the columns.",
        )
    return [days[day] for day in sorted(days)]
