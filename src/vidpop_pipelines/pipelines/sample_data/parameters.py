"""Parameters of the sample data."""

from pydantic import Field

from vidpop_pipelines.parameters import Parameters


class SampleDataParameters(Parameters):
    """Size and seed of the generated universe of videos.

    Attributes:
        videos: Number of videos. 400 keep the committed sample under 8 MB and still leave 80 per fold.
        seed: Seed of every random stream; the same seed gives the same files, byte for byte.
        days: Number of daily popularity scores; 30 as in the SMTPD paper.
        image_size: Width of a MoFA image feature; far below the published 1024, to keep the sample small.
        video_size: Width of a MoFA video feature (published: 768).
        text_size: Width of a MoFA text feature (published: 1024).
    """

    videos: int = Field(default=400, ge=10)
    seed: int = Field(default=2025, ge=0)
    days: int = Field(default=30, ge=2, le=365)
    image_size: int = Field(default=64, ge=1)
    video_size: int = Field(default=48, ge=1)
    text_size: int = Field(default=64, ge=1)
