"""The fuzz campaign in small: `make fuzz-test` is the whole one."""

import os
import pickle
import random
import runpy
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent / "fuzz"))

import guard
import mutate
import surfaces

NEVER_WHOLE = {surfaces.OwnData, surfaces.Archives, surfaces.Annotations}
"""Of whose few inputs here each has a part that is refused; of all others some are read to their end."""


@pytest.fixture(scope="module")
def watch(tmp_path_factory):
    return guard.Guard(tmp_path_factory.mktemp("fuzz"), 20)


@pytest.mark.filterwarnings("ignore")  # of Pillow and NumPy, on what is in the files
@pytest.mark.parametrize("kind", surfaces.SURFACES, ids=lambda kind: kind.__name__)
def test_what_comes_in_is_read_or_refused_in_a_line(watch, kind, monkeypatch, capsys):
    monkeypatch.setenv("DID_TF_CACHE", f"{watch.folder}/cache")
    surface, refused = kind(Path(watch.folder) / kind.__name__), 0
    for number in range(8 * kind.share):
        surface.make(random.Random(f"0 {kind.__name__} {number}"))
        try:
            with watch.input():
                surface.read()
        except surfaces.EXPECTED as error:
            refused += 1
            assert "\n" not in str(error)
    assert refused
    assert refused < 8 * kind.share or kind in NEVER_WHOLE


@pytest.mark.parametrize(
    "deed",
    [
        lambda: Path("/tmp/fuzz-guard-outside").write_text(""),
        lambda: os.mkdir("/tmp/fuzz-guard-outside"),
        lambda: os.system("true"),
        lambda: pickle.loads(pickle.dumps(random.Random)),
    ],
)
def test_the_guard_notices_what_none_may_do(watch, deed):
    with pytest.raises(guard.Forbidden), watch.input():
        deed()


def test_an_input_is_made_from_its_number_alone():
    made = [mutate.of_bytes(random.Random("0 7"), bytes(100)) for _ in range(2)]
    assert made[0] == made[1]
    assert len({mutate.of_bytes(random.Random(f"0 {number}"), b"abc") for number in range(9)}) > 5


@pytest.mark.parametrize("argument", ["--surfaces=Imagse", "--only=Images:x", "--only=Nothing:3"])
def test_a_campaign_of_nothing_is_none(argument):
    """It would have no finding."""
    main = runpy.run_path(str(Path(__file__).parent / "fuzz" / "__main__.py"))["main"]
    with pytest.raises(SystemExit) as ended:
        main([argument])
    assert ended.value.code == 2
