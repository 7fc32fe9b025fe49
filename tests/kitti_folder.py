"""A small version of the KITTI road data: its layout, names, colours and calibrations, at a quarter of the size."""

import numpy as np
from folders import write_image

# Of a frame of the benchmark, rounded; the first is for frames of 375x1242.
P2 = (721.54, 0, 609.56, 44.857, 0, 721.54, 172.85, 0.21638, 0, 0, 1, 0.0027459)
R0_RECT = (0.99992, 0.0098378, -0.007445, -0.0098698, 0.99994, -0.0042785, 0.0074025, 0.0043516, 0.99996)
TR_CAM_TO_ROAD = (
    0.9999, -0.011702, -0.0073608, 0.01912, 0.011603, 0.99984, -0.01337, -1.5622, 0.0075161, 0.013283, 0.99988, 0.27528,
)  # fmt: skip
ROAD, OTHER, VOID = (255, 0, 255), (255, 0, 0), (0, 0, 0)


def make_kitti(folder, frames=10, test=2, size=(94, 310)):
    """`frames` and `test` frames of each category: a grey road that widens towards the camera, green beside it."""
    rng = np.random.default_rng(0)
    for part, count in (("training", frames), ("testing", test)):
        for category in ("um", "umm", "uu"):
            for number in range(count):
                label = road(rng, size)
                image = np.where((label == ROAD).all(axis=-1)[..., None], (120, 120, 120), (60, 130, 60))
                image, name = (image + rng.integers(0, 40, image.shape)).astype(np.uint8), f"{category}_{number:06d}"
                write_image(folder / part / "image_2" / f"{name}.png", image)
                write_calibration(folder / part / "calib" / f"{name}.txt", size[0] / 375)
                if part == "training":
                    labels = folder / part / "gt_image_2"
                    write_image(labels / f"{category}_road_{number:06d}.png", label)
                    if category == "um":
                        write_image(labels / f"{category}_lane_{number:06d}.png", np.zeros_like(label))


def road(rng, size):
    """Label picture [H, W, 3]: a road below the horizon, the rest, and void in the upper rows."""
    height, width = size
    rows, columns = np.mgrid[:height, :width]
    depth = np.clip((rows - 0.5 * height) / (0.5 * height), 0, 1)
    centre = width * rng.uniform(0.4, 0.6)
    label = np.full((height, width, 3), OTHER, np.uint8)
    label[(depth > 0) & (np.abs(columns - centre) < 0.4 * width * depth)] = ROAD
    label[: height // 8] = VOID
    return label


def write_calibration(path, scale=1.0):
    """Calibration of a camera whose image is smaller by `scale`, with the lines that the benchmark's files have."""
    path.parent.mkdir(parents=True, exist_ok=True)
    projection = np.array(P2).reshape(3, 4) * [[scale], [scale], [1]]
    lines = {
        **{f"P{camera}": projection.ravel() for camera in range(4)},
        "R0_rect": R0_RECT,
        "Tr_velo_to_cam": TR_CAM_TO_ROAD,
        "Tr_imu_to_velo": TR_CAM_TO_ROAD,
        "Tr_cam_to_road": TR_CAM_TO_ROAD,
    }
    path.write_text("".join(f"{name}: {' '.join(f'{x:.12e}' for x in values)}\n" for name, values in lines.items()))
