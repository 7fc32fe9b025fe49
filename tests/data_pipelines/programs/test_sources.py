"""What is known of data sets that can be fetched, and of the others."""

from data_pipelines import names
from data_pipelines.datasets.camvid import SPEC as CAMVID
from data_pipelines.programs.sources import ELSEWHERE, NEEDS_NO_DATA, SOURCES


def test_camvid_has_its_published_counts():
    source = SOURCES["camvid"]
    assert source.spec is CAMVID
    assert source.counts == {
        "train": 367, "trainannot": 367, "val": 101, "valannot": 101, "test": 233, "testannot": 233
    }  # fmt: skip
    assert set(source.digests) == {"train", "trainannot", "val", "valannot"}


def test_every_data_set_can_be_fetched_or_says_why_not():
    assert {*SOURCES, *ELSEWHERE, *NEEDS_NO_DATA} == set(names())
