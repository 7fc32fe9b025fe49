"""Whether tiles leave seams: `python -m benchmarks.seams RUN`.

Images of the validation split are labelled whole and in tiles of the run's crop. Counted is how often the two differ
near a border of a tile within the image, and elsewhere; and how often labels change across such a border, over how
often those of the whole image change there.
"""

import numpy as np

import did_tf
from benchmarks.arguments import parser_of
from did_tf import wiring
from did_tf.inference.inputs import split_images
from did_tf.inference.tiles import BLENDS, tile_starts, tile_stride

NEAR = 4
"""Pixels on each side of a border."""
OVERLAPS = (0.0, 1 / 3, 0.5)


def main():
    """Prints a table."""
    parser = parser_of(__name__)
    parser.add_argument("run", help="folder of a trained run")
    parser.add_argument("--data", help="folder of its data (default: that of the run)")
    parser.add_argument("--images", type=int, default=20, help="how many (default: 20)")
    given = parser.parse_args()
    whole = did_tf.load(given.run)
    config = whole._config
    if given.data:
        wiring.set_data(config, given.data)
    images = [image.read()[0] for image in split_images(wiring.make_dataset(config), "val", given.images)]
    expected = [whole.predict(image) for image in images]
    tile = tuple(config["data"]["crop"])
    print(f"\n{len(images)} images, tiles of {tile[0]}x{tile[1]} against the whole image; {NEAR} pixels beside a seam")
    print("overlap  blend     differs at seams  elsewhere  changes across seams, of those in the whole image")
    for overlap in OVERLAPS:
        for blend in BLENDS:
            model = did_tf.load(given.run, protocol="tiles_once", overlap=overlap, blend=blend)
            found = [model.predict(image) for image in images]
            seams, others, ratio = compared(found, expected, tile, overlap)
            print(f"{overlap:7.2f}  {blend:9} {seams:15.2%}  {others:9.2%}  {ratio:6.2f}", flush=True)


def compared(found, expected, tile, overlap):
    """(share of pixels that differ near seams, elsewhere, changes across seams over those that are expected)."""
    counts, changes = np.zeros((2, 2)), np.zeros(2)
    for one, other in zip(found, expected):
        near, borders = seams_of(one.shape, tile, overlap)
        for row, part in enumerate((near, ~near)):
            counts[row] += (one != other)[part].sum(), part.sum()
        changes += [changes_across(labels, borders) for labels in (one, other)]
    return *(counts[:, 0] / counts[:, 1]), changes[0] / changes[1]


def seams_of(size, tile, overlap):
    """([H, W] bool near the borders of tiles within an image, these borders as rows and as columns)."""
    borders = []
    for side, length in zip(size, tile):
        starts = tile_starts(side, length, tile_stride(length, overlap))
        borders.append(sorted({edge for start in starts for edge in (start, start + length) if 0 < edge < side}))
    near = [np.zeros(side, bool) for side in size]
    for line, edges in zip(near, borders):
        for edge in edges:
            line[max(edge - NEAR, 0) : edge + NEAR] = True
    return near[0][:, None] | near[1], borders


def changes_across(labels, borders):
    """How many pixels have another label than their neighbour beyond a border."""
    rows, columns = borders
    return sum((labels[y] != labels[y - 1]).sum() for y in rows) + sum(
        (labels[:, x] != labels[:, x - 1]).sum() for x in columns
    )


if __name__ == "__main__":
    main()
