"""A source of the tiny data set and the folder that it goes to."""

import pytest
from archive_files import FILES, SPEC, write_files

from data_pipelines.programs.sources import Source, digest


@pytest.fixture
def source(tmp_path):
    """Of `FILES`; the digests of the test split aren't known."""
    good = write_files(tmp_path / "good", FILES)
    digests = {folder: digest(good / folder) for folder in ("train", "trainannot")}
    return Source(SPEC, "http://127.0.0.1:9/tiny.zip", digests)


@pytest.fixture
def target(tmp_path):
    return tmp_path / "data" / "tiny"
