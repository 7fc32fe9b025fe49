"""What stands on the street: each thing is drawn with a `Pen`, from its foot up."""

from __future__ import annotations

import numpy as np

from data_pipelines.datasets.camvid_classes import BICYCLIST, CAR, PEDESTRIAN, POLE, SIGN, TREE
from data_pipelines.datasets.street.colours import BARKS, GLASS, GROUNDS, LEAVES, METALS, SKINS, jitter, paint
from data_pipelines.datasets.street.scene import CIRCLE, Pen, Scene, rectangle


def draw_things(scene: Scene) -> None:
    """Cars, people, poles, signs and trees at random places, far ones first."""
    for draw, pen in sorted(_placed(scene), key=lambda thing: thing[1].p):
        draw(pen, scene.rng)


def _placed(scene):
    """[(drawing function, pen)] of what stands on the street."""
    rng, (left, right), (wall_left, wall_right) = scene.rng, scene.road, scene.walls
    road = ((left + 0.9, right - 0.9),)
    kerb = ((left - 0.7, left - 0.2), (right + 0.2, right + 0.7))
    pavement = ((wall_left + 0.5, left), (right, wall_right - 0.5))
    plan = (
        (_car, CAR, 1, 4, road), (_pedestrian, PEDESTRIAN, 1, 3, pavement), (_pedestrian, PEDESTRIAN, 0, 1, road),
        (_bicyclist, BICYCLIST, 1, 2, road + kerb), (_pole, POLE, 0, 2, kerb), (_sign, SIGN, 1, 3, kerb + pavement),
        (tree, TREE, 0, 2, kerb + pavement),
    )  # fmt: skip
    things = []
    for draw, cls, low, high, places in plan:
        for _ in range(rng.integers(low, high + 1)):
            x = rng.uniform(*places[rng.integers(len(places))])
            room = scene.vanish if x < 0 else scene.width - scene.vanish
            # No nearer than where its foot leaves the picture.
            p_high = min(0.6 * scene.p_max, 0.95 * room / (abs(x) + 0.1))
            things.append((draw, Pen(scene, cls, x, p_high * rng.uniform(0.25, 1))))
    return things


def tree(pen: Pen, rng: np.random.Generator) -> None:
    """A stem, and a crown of tufts."""
    leaves, stem, rx, ry = jitter(rng, LEAVES), rng.uniform(1.6, 3), rng.uniform(1, 2.2), rng.uniform(1.2, 2.8)
    pen.limb((0, 0), (rng.normal(0, 0.15), stem + ry), rng.uniform(0.15, 0.4), jitter(rng, BARKS))
    spots = rng.normal(0, 0.45, (35, 2))
    for dx, dy in spots[np.hypot(*spots.T) < 1]:
        size = rng.uniform(0.12, 0.4)  # tufts, lit from above
        pen.oval(dx * rx, stem + ry + dy * ry, size * rx, size * ry, leaves * (1 + 0.25 * dy) + rng.normal(0, 13))


def _pole(pen, rng):
    height, colour = rng.uniform(3.5, 8), jitter(rng, METALS)
    pen.limb((0, 0), (0, height), max(0.13, 1.5 / pen.p), colour)
    if rng.random() < 0.6:
        lamp = (rng.choice([-1, 1]) * rng.uniform(0.6, 1.5), height + 0.2)
        pen.limb((0, height), lamp, 0.1, colour)
        pen.oval(*lamp, 0.3, 0.1, colour * 1.2)


def _sign(pen, rng):
    """A round, triangular or rectangular sign on its pole."""
    y, r, rim = rng.uniform(2.2, 3), rng.uniform(0.35, 0.6), paint(rng)
    pen.cls = POLE
    pen.limb((0, 0), (0, y), max(0.1, 1.5 / pen.p), jitter(rng, METALS))
    pen.cls = SIGN
    outlines = (CIRCLE, [(-1, -0.8), (1, -0.8), (0, 1)], rectangle(-1, -rng.uniform(0.6, 1.4), 1, 1))
    outline = r * np.array(outlines[rng.integers(3)])
    pen.poly(outline + (0, y), rim)
    pen.poly(0.75 * outline + (0, y), paint(rng))
    pen.box(-0.4 * r, y - 0.15 * r, 0.4 * r, y + 0.1 * r, rim)


def _car(pen, rng):
    """From behind or in front, with its flank in perspective, or now and then from the side."""
    colour = paint(rng) if rng.random() < 0.6 else jitter(rng, GROUNDS)
    glass, dark = jitter(rng, GLASS), np.full(3, rng.uniform(20, 45))
    pen.shadow(2.2)
    if rng.random() < 0.25:
        return _car_side(pen, rng, colour, glass, dark)
    half, top = rng.uniform(0.8, 1.0), rng.uniform(1.4, 2.0)
    body = [(-half, 0.25), (half, 0.25), (half, 0.95), (0.8 * half, top), (-0.8 * half, top), (-half, 0.95)]
    window = [(-0.8 * half, 1), (0.8 * half, 1), (0.68 * half, top - 0.12), (-0.68 * half, top - 0.12)]
    lamp = np.array((200, 40, 35) if rng.random() < 0.5 else (235, 235, 215))
    for edge in (-1, 1):
        pen.box(edge * 0.65 * half, 0, edge * 0.95 * half, 0.5, dark)
    pen.solid(rectangle(-half, 0.12, half, 0.3), dark)
    pen.solid(body, colour * 0.75)
    pen.solid(np.array(window) * (1.1, 1), glass)
    pen.poly(body, colour)
    pen.poly(window, glass)
    for edge in (-1, 1):
        pen.box(edge * 0.65 * half, 0.65, edge * 0.95 * half, 0.85, lamp)
    pen.box(-0.25, 0.45, 0.25, 0.57, (220, 215, 170))


def _car_side(pen, rng, colour, glass, dark):
    flip, roof = (rng.choice([-1, 1]), 1), rng.uniform(1.35, 1.8)
    body = [(-2.1, 0.3), (2.1, 0.3), (2.1, 0.7), (1.2, 0.9), (0.5, roof), (-1.4, roof), (-2, 0.95), (-2.1, 0.8)]
    rear_window = [(-1.6, 0.95), (-0.45, 0.95), (-0.45, roof - 0.1), (-1.3, roof - 0.1)]
    front_window = [(-0.3, 0.95), (0.95, 0.95), (0.4, roof - 0.1), (-0.3, roof - 0.1)]
    for points, fill in ((body, colour), (rear_window, glass), (front_window, glass)):
        pen.poly(np.array(points) * flip, fill)
    for wheel in (-1.3, 1.3):
        pen.oval(wheel, 0.33, 0.35, 0.35, dark)
        pen.oval(wheel, 0.33, 0.17, 0.17, dark + 100)


def _pedestrian(pen, rng):
    pen.size = rng.uniform(0.75, 1.1)  # children and adults
    top, legs, stride, half = paint(rng), paint(rng), rng.uniform(0.05, 0.35), rng.uniform(0.2, 0.28)
    pen.shadow(0.4)
    for foot in (-stride, stride):
        pen.limb((foot / 3, 0.9), (foot, 0), 0.17, legs)
    _upper_body(pen, rng, (0, 0.85), (0, 1.45), half, top, jitter(rng, METALS))
    for edge in (-1, 1):
        pen.limb((edge * half, 1.42), (edge * (half + rng.uniform(0, 0.2)), 0.85), 0.11, top * 0.85)
    if rng.random() < 0.3:
        pen.box(half, 0.55, half + 0.3, 0.85, paint(rng))  # a bag


def _upper_body(pen, rng, hip, neck, half, top, hair):
    """Trunk, head and hair (or a helmet)."""
    pen.limb(hip, neck, 2 * half, top)
    pen.oval(neck[0], neck[1] + 0.17, 0.12, 0.16, jitter(rng, SKINS, 6))
    pen.poly(CIRCLE[:8] * (0.13, 0.14) + (neck[0], neck[1] + 0.21), hair)


def _bicyclist(pen, rng):
    """A person on two wheels, from the side or from behind; what shows through the wheels counts, as in CamVid."""
    top, legs, frame, helmet, tyre = paint(rng), paint(rng), paint(rng), paint(rng), paint(rng) * 0.3
    pen.shadow(0.9)
    if rng.random() < 0.35:
        pen.box(-0.06, 0, 0.06, 0.75, tyre)
        pen.limb((-0.3, 1.0), (0.3, 1.0), 0.07, frame)
        for edge, foot in ((-1, 0.2), (1, 0.4)):
            pen.limb((edge * 0.12, 0.95), (edge * 0.16, foot), 0.16, legs)
            pen.limb((edge * 0.22, 1.45), (edge * 0.3, 1.0), 0.11, top * 0.85)
        return _upper_body(pen, rng, (0, 0.9), (0, 1.5), 0.22, top, helmet)
    for wheel in (-0.52, 0.52):
        pen.oval(wheel, 0.34, 0.35, 0.35, tyre)
        pen.oval(wheel, 0.34, 0.26, 0.26, jitter(rng, GROUNDS))
    flip = np.array((rng.choice([-1, 1]), 1))
    tubes = flip * [(-0.15, 0.85), (0, 0.32), (-0.52, 0.34), (-0.15, 0.78), (0.4, 0.8), (0.38, 1), (0.52, 0.34)]
    for start, end in zip(tubes[:-1], tubes[1:]):
        pen.limb(start, end, 0.06, frame)
    for leg in ([(-0.15, 0.95), (0.25, 0.75), (0.1, 0.2)], [(-0.15, 0.95), (0.15, 0.6), (-0.05, 0.35)]):
        hip, knee, foot = flip * leg
        pen.limb(hip, knee, 0.17, legs)
        pen.limb(knee, foot, 0.14, legs * 0.9)
    _upper_body(pen, rng, flip * (-0.15, 0.9), flip * (0.12, 1.4), 0.19, top, helmet)
    pen.limb(flip * (0.1, 1.35), flip * (0.4, 1.02), 0.1, top * 0.85)
