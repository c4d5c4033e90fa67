import pytest

from vidpop_pipelines.errors import InputError
from vidpop_pipelines.features.columns import normalise_name
from vidpop_pipelines.pipelines.tabular.columns import find_columns

YOUTUBE_DATA_API = (
    "id snippet.publishedAt snippet.channelId snippet.channelTitle snippet.title snippet.description"
    " snippet.tags snippet.categoryId snippet.defaultLanguage snippet.defaultAudioLanguage"
    " contentDetails.duration contentDetails.definition contentDetails.caption statistics.viewCount"
    " statistics.likeCount statistics.commentCount statistics.favoriteCount"
)
KAGGLE_TRENDING = (
    "video_id trending_date title channel_title category_id publish_time tags views likes dislikes"
    " comment_count thumbnail_link comments_disabled ratings_disabled video_error_or_removed description"
)
CRAWL = (
    "video_id title description video_published_at hours_published_video num_tags channel channel_id"
    " thumbnail_url duration definition caption views likes comments channel_published_at"
    " days_published_channel channel_views channel_videos channel_subscribers"
)


def fields_of(header: list[str], **mapping: str) -> dict[str, str]:
    """Which column was taken for each field."""
    return {f: header[p] for f, p in find_columns(header, mapping, "a.csv").fields.items()}


@pytest.mark.parametrize(
    ("name", "normalised"),
    [
        ("Published At", "published_at"),
        ("channel-ID", "channel_id"),
        ("publishedAt", "published_at"),
        ("snippet.publishedAt", "published_at"),
        ("contentDetails.duration", "duration"),
        ("statistics.viewCount", "view_count"),
        ("Duration (seconds)", "duration_seconds"),
        ("statistics", "statistics"),
    ],
)
def test_names_are_compared_without_case_and_punctuation(name, normalised):
    assert normalise_name(name) == normalised


def test_header_of_the_youtube_data_api():
    header = YOUTUBE_DATA_API.split()
    found = find_columns(header, {}, "a.csv")
    assert {field: header[p].rsplit(".")[-1] for field, p in found.fields.items()} == {
        "video_id": "id",
        "title": "title",
        "description": "description",
        "tags": "tags",
        "categories": "categoryId",
        "duration_seconds": "duration",
        "published_at": "publishedAt",
        "channel_id": "channelId",
        "definition": "definition",
        "caption": "caption",
        "language": "defaultLanguage",
        "views": "viewCount",
        "likes": "likeCount",
        "comments": "commentCount",
    }
    assert [header[p] for p in found.answers] == ["statistics.favoriteCount"]
    assert [header[p] for p in found.ignored] == ["snippet.channelTitle", "snippet.defaultAudioLanguage"]


def test_header_of_the_kaggle_trending_table():
    header = KAGGLE_TRENDING.split()
    fields = fields_of(header)
    assert fields["published_at"] == "publish_time"
    assert fields["channel_id"] == "channel_title"
    assert fields["categories"] == "category_id"
    assert fields["comments"] == "comment_count"
    found = find_columns(header, {}, "a.csv")
    assert [header[p] for p in found.answers] == ["dislikes"]
    assert "trending_date" in [header[p] for p in found.ignored]


def test_header_of_a_crawl_with_channel_statistics():
    header = CRAWL.split()
    fields = fields_of(header)
    assert fields["published_at"] == "video_published_at"
    assert fields["age_hours"] == "hours_published_video"
    assert fields["duration_seconds"] == "duration"
    assert fields["channel_id"] == "channel_id"
    assert fields["channel_created_at"] == "channel_published_at"
    assert fields["channel_video_count"] == "channel_videos"
    assert fields["subscribers"] == "channel_subscribers"
    assert "channel_avg_views" not in fields
    found = find_columns(header, {}, "a.csv")
    assert [header[p] for p in found.answers] == ["channel_views"]


def test_two_columns_that_mean_the_same_are_an_error_until_the_mapping_decides():
    header = ["video_id", "views", "title", "View Count"]
    with pytest.raises(InputError) as error:
        find_columns(header, {}, "a.csv")
    assert "a.csv: columns 'views' (column 2) and 'View Count' (column 4) mean the same: views" in str(
        error.value
    )
    assert "tabular.columns.views" in str(error.value)
    found = find_columns(header, {"views": "View Count"}, "a.csv")
    assert found.fields == {"video_id": 0, "title": 2, "views": 3}
    assert found.ignored == [1]


def test_a_name_that_stands_twice_is_an_error():
    with pytest.raises(InputError, match=r"'title' \(column 1\) and 'title' \(column 3\)"):
        find_columns(["title", "views", "title"], {}, "a.csv")


def test_unknown_names_may_repeat():
    assert find_columns(["x", "views", "x", ""], {}, "a.csv").ignored == [0, 2, 3]


def test_mapping_goes_before_names():
    header = ["video_id", "Titel", "title", "watch time"]
    assert fields_of(header, title="Titel", language="title", views="watch_time") == {
        "video_id": "video_id",
        "title": "Titel",
        "language": "title",
        "views": "watch time",
    }


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        (
            {"title": "Title2"},
            "tabular.columns.title is 'Title2', which is no column of a.csv; did you mean 'Titel2'?",
        ),
        ({"titel": "Titel2"}, "tabular.columns.titel: there is no such field; did you mean 'title'?"),
        ({"views_day_0": "Titel2"}, "tabular.columns.views_day_0: there is no such field"),
        (
            {"title": "Titel2", "tags": "Titel2"},
            "gives column 'Titel2' of a.csv two meanings: title and tags",
        ),
    ],
)
def test_a_wrong_mapping_is_an_error(mapping, message):
    with pytest.raises(InputError) as error:
        find_columns(["video_id", "Titel2"], mapping, "a.csv")
    assert message in str(error.value)


def test_days_are_found_in_any_order_and_by_mapping():
    header = ["day_3", "video_id", "views_day_1", "first week", "Day 2"]
    assert find_columns(header, {}, "a.csv").days == [2, 4, 0]
    found = find_columns(header, {"views_day_4": "first week"}, "a.csv")
    assert found.days == [2, 4, 0, 3]
    assert list(found.fields) == ["video_id"] and found.ignored == []


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (["views_day_1", "views_day_3"], "day 2 is missing"),
        (["views_day_2"], "day 1 is missing"),
        (["day_0", "day_1"], "day 0 is too many"),
        (
            ["day_1", "views_day_1"],
            "'day_1' (column 1) and 'views_day_1' (column 2) mean the same: views_day_1",
        ),
    ],
)
def test_days_are_consecutive_from_one(header, message):
    with pytest.raises(InputError) as error:
        find_columns(header, {}, "a.csv")
    assert message in str(error.value)
