"""JPEGs whose damage their decoder notices, and gives pixels all the same."""

import cv2
import numpy as np
from folders import write_image

from data_pipelines.audit.decoder import complaints

PICTURE = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (200, 200, 3)).astype(np.uint8), (0, 0), 3)


def damaged(path, data):
    path.write_bytes(data)
    return path


def test_files_are_named_with_what_their_decoder_says(tmp_path):
    write_image(tmp_path / "good.jpg", PICTURE)
    write_image(tmp_path / "good.png", PICTURE)
    data = (tmp_path / "good.jpg").read_bytes()
    middle = len(data) // 2
    early = damaged(tmp_path / "early.jpg", data[:middle] + b"\xff\xd9" + data[middle:])
    longer = damaged(tmp_path / "straße 1.jpg", data[:-2] + b"abc" * 20 + data[-2:])
    (tmp_path / "none.jpg").write_bytes(b"")
    found = complaints([tmp_path / "good.jpg", early, tmp_path / "good.png", longer, tmp_path / "none.jpg", early])
    assert found.problems == [
        f"{early} is damaged: its decoder says 'Corrupt JPEG data: premature end of data segment'"
    ]
    assert found.notes == [f"JPEGs with bytes that mean nothing, some of which may be damaged: {longer}; look at them"]
    assert complaints([tmp_path / "good.jpg"]) == complaints([]) == ([], [])
