"""A small version of the Inria aerial data: its layout and names, GeoTIFFs in strips as GDAL writes them."""

import numpy as np
import rasterio

from data_pipelines.datasets import inria_aerial

METRE = rasterio.Affine(0.3, 0, 616500, 0, -0.3, 3345000)


def make_inria(folder, tiles=(1, 6), cities=inria_aerial.CITIES, size=(100, 100), test=1, compress=None):
    """Tiles numbered `tiles` of each of `cities`, and `test` tiles of two test cities; compress: None or "lzw"."""
    rng = np.random.default_rng(0)
    for city in cities:
        for number in tiles:
            buildings = _buildings(rng, size)
            name = f"{city}{number}.tif"
            write_tiff(folder / "train" / "images" / name, _picture(rng, buildings), compress)
            write_tiff(folder / "train" / "gt" / name, buildings * 255, compress)
    for city in ("bellingham", "tyrol-e"):
        for number in range(1, test + 1):
            picture = _picture(rng, _buildings(rng, size))
            write_tiff(folder / "test" / "images" / f"{city}{number}.tif", picture, compress)


def write_tiff(path, pixels, compress=None):
    """[H, W] or [H, W, bands] uint8."""
    path.parent.mkdir(parents=True, exist_ok=True)
    planes = np.moveaxis(np.atleast_3d(pixels), -1, 0)
    options = {"count": len(planes), "height": planes.shape[1], "width": planes.shape[2], "compress": compress}
    with rasterio.open(
        path, "w", driver="GTiff", dtype="uint8", interleave="pixel", crs="EPSG:26914", transform=METRE, **options
    ) as file:
        file.write(planes)


def _buildings(rng, size):
    """[H, W] uint8, 1 in a quarter of the blocks of 10x10 pixels."""
    ground = rng.random([-(-side // 10) for side in size]) < 0.25
    return ground.repeat(10, axis=0).repeat(10, axis=1)[: size[0], : size[1]].astype(np.uint8)


def _picture(rng, buildings):
    """Bright buildings on a dark ground, with noise."""
    noise = rng.integers(0, 60, (*buildings.shape, 3))
    return (noise + 140 * buildings[..., None]).astype(np.uint8)
