"""The whole scene, far first: sky, ground, houses, trees and fences; then what stands on the street."""

from __future__ import annotations

import numpy as np

from data_pipelines.datasets.camvid_classes import BUILDING, FENCE, PAVEMENT, ROAD, SKY, TREE
from data_pipelines.datasets.street.colours import (
    GLASS,
    GROUNDS,
    LEAVES,
    METALS,
    PAVINGS,
    SKIES,
    WALLS,
    jitter,
    paint,
)
from data_pipelines.datasets.street.scene import CIRCLE, Pen, Scene, rectangle, smooth_noise
from data_pipelines.datasets.street.things import draw_things, tree
from data_pipelines.spec import IGNORE


def draw_street(scene: Scene) -> None:
    """Far first: sky, skyline, ground, what lines the street, what stands in it, the car of the camera."""
    _sky(scene)
    _skyline(scene)
    _ground(scene)
    for side in (0, 1):
        _line_street(scene, side)
    draw_things(scene)
    if scene.rng.random() < 0.25:
        _bonnet(scene)


def _sky(scene):
    rng, height, width = scene.rng, scene.height, scene.width
    top, bottom = (np.array(colour) + rng.normal(0, 8, 3) for colour in SKIES[rng.integers(len(SKIES))])
    ramp = np.clip(np.linspace(0, height / scene.horizon, height), 0, 1)[:, None, None]
    cloud = smooth_noise(rng, height, width, 5) + 0.6 * smooth_noise(rng, height, width, 14)
    cloud = np.clip(cloud - rng.uniform(-0.3, 1.5), 0, 1)[..., None] * rng.uniform(0.2, 0.8)
    sky = (1 - cloud) * (top + (bottom - top) * ramp) + cloud * rng.uniform(130, 250)
    scene.rgb_label[..., :3] = np.clip(sky, 0, 255)
    scene.rgb_label[..., 3] = SKY


def _skyline(scene):
    """Far houses and trees along the whole horizon."""
    rng, left = scene.rng, 0.0
    while left < scene.width:
        right = left + scene.width * rng.uniform(0.03, 0.12)
        top = scene.horizon - scene.height * rng.uniform(0.01, 0.13)
        cls, colours, outline = BUILDING, WALLS, rectangle(left, top, right, scene.horizon)
        if rng.random() < 0.5:
            cls, colours = TREE, LEAVES
            outline = CIRCLE * (0.7 * (right - left), scene.horizon - top) + ((left + right) / 2, scene.horizon)
        scene.fill(outline, cls, jitter(rng, colours), 0.06 * scene.p_max)
        left = right


def _ground(scene: Scene) -> None:
    """Pavement, now and then with a verge of grass, the road with its markings, shadows across both."""
    rng, paving = scene.rng, jitter(scene.rng, PAVINGS)
    scene.near[int(scene.horizon) :] = np.linspace(0, 255, scene.height - int(scene.horizon))[:, None]
    scene.fill(rectangle(0, scene.horizon, scene.width, scene.height), PAVEMENT, paving)
    for joint in np.arange(scene.walls[0], scene.walls[1], 1.2):
        _strip(scene, joint, joint + 0.06, PAVEMENT, paving * 0.9)
    for edge, out in zip(scene.road, (-1, 1)):
        if rng.random() < 0.25:
            _strip(scene, edge, edge + out * rng.uniform(0.6, 1.5), TREE, jitter(rng, LEAVES))
        _strip(scene, edge, edge + out * 0.25, PAVEMENT, paving * rng.choice([0.75, 1.2]))
    _strip(scene, *scene.road, ROAD, jitter(rng, GROUNDS))
    _markings(scene)
    for _ in range(rng.integers(0, 4)):
        z = rng.uniform(4, 25)
        outline = scene.on_ground(rng.uniform(-12, 0), rng.uniform(0, 12), z, z + rng.uniform(1, 6))
        scene.shade(outline, rng.uniform(0.45, 0.75))


def _strip(scene, x0, x1, cls, colour, z0=1.0, z1=900.0):
    scene.fill(scene.on_ground(x0, x1, z0, z1), cls, colour)


def _markings(scene):
    """Lane lines, edge lines and a crossing: all road."""
    rng, (left, right) = scene.rng, scene.road
    colour = np.array([225, 222, 215] if rng.random() < 0.8 else [215, 180, 60]) * rng.uniform(0.7, 1.05)
    if rng.random() < 0.8:
        middle, dash = (left + right) / 2 + rng.normal(0, 0.3), rng.uniform(1.5, 4)
        for z in np.arange(rng.uniform(2, 6), 50, 2 * dash):
            _strip(scene, middle - 0.08, middle + 0.08, ROAD, colour, z, z + dash)
    if rng.random() < 0.4:
        for edge in (left + 0.35, right - 0.35):
            _strip(scene, edge - 0.06, edge + 0.06, ROAD, colour)
    if rng.random() < 0.2:
        z = rng.uniform(5, 14)
        for x in np.arange(left + 0.3, right - 0.5, 1.0):
            _strip(scene, x, x + 0.5, ROAD, colour, z, z + 3)


def _line_street(scene, side):
    """Houses with gaps or a row of trees on one side (0 left, 1 right), then perhaps a fence."""
    rng, x, out = scene.rng, scene.walls[side], (-1, 1)[side]
    start = scene.scale(scene.width / abs(x))  # the distance from which it is in view
    if rng.random() < 0.75:
        ends = start + np.cumsum(rng.uniform(7, 20, 8))
        for z0, z1 in reversed(list(zip([start, *ends], ends))):
            if rng.random() < 0.8:
                _building(scene, x, out, z0, z1)
    else:
        for z in np.sort(start * rng.uniform(1.5, 6, rng.integers(4, 9)))[::-1]:
            tree(Pen(scene, TREE, x + out * rng.uniform(0.5, 5), scene.scale(z)), rng)
    if rng.random() < 0.45:
        _fence(scene, x - out * 0.3, start, start + rng.uniform(8, 35))


def _building(scene, x, out, z0, z1):
    """One house: the end that faces the camera, then the front along the street, bay by bay."""
    rng, storey = scene.rng, scene.rng.uniform(2.7, 3.6)
    floors, wall, roof, door = rng.integers(1, 6), jitter(rng, WALLS), 0.7 * jitter(rng, WALLS), paint(rng)
    glass, width, sill = jitter(rng, GLASS), rng.uniform(0.3, 0.8), rng.uniform(0.7, 1.1)
    height, has_doors = floors * storey + 0.6, rng.random() < 0.5
    gable = np.array([0, 0, height, height + rng.choice([0, 2.5]), height])
    end = scene.project(x + out * np.array([0, 8, 8, 4, 0]), gable, scene.scale(z0))
    scene.fill(end, BUILDING, wall * rng.uniform(0.65, 1.1), scene.scale(z0))

    def panel(near, far, y0, y1, colour):
        p = scene.scale(np.array([near, far, far, near]))
        scene.fill(scene.project(x, np.array([y0, y0, y1, y1]), p), BUILDING, colour, p[0])

    bays = np.linspace(z1, z0, int((z1 - z0) / 3.5) + 1)
    for far, near in zip(bays[:-1], bays[1:]):
        side = (1 - width) / 2 * (far - near)
        panel(near, far, 0, height, wall)
        panel(near, far, height - 0.5, height, roof)
        for floor in range(floors):
            low, colour = (0, door) if floor == 0 and has_doors else (sill, glass)
            panel(near + side, far - side, floor * storey + low, floor * storey + 2.3, colour)


def _fence(scene, x, z0, z1):
    """Panels of 2 m with rails and pickets; what shows between them counts as fence, as in CamVid."""
    rng, height = scene.rng, scene.rng.uniform(0.9, 1.8)
    bars, pickets = jitter(rng, METALS + WALLS), rng.integers(1, 8)
    gap = bars * rng.uniform(0.5, 0.9) if rng.random() < 0.4 else jitter(rng, LEAVES + PAVINGS)
    panels = np.arange(z1, z0, -2.0)
    for far, near in zip(panels[:-1], panels[1:]):
        p = scene.scale(np.linspace(near, far, pickets + 1))

        def piece(low, high, colour, p):
            rows = scene.project(x, height * low, p), scene.project(x, height * high, p)
            scene.fill([*rows[0], *rows[1][::-1]], FENCE, colour, p[0])

        piece(0, 1, gap, p[[0, -1]])
        for picket in p:
            piece(0, 1, bars, picket * np.array([1, 0.985]))
        for low in (0.2, 0.85):
            piece(low, low + 0.1, bars * 0.9, p[[0, -1]])


def _bonnet(scene):
    """The front of the camera's own car: void."""
    rng, radius = scene.rng, scene.width * scene.rng.uniform(0.4, 0.7)
    centre = (scene.width * rng.uniform(0.4, 0.6), scene.height)
    outline = CIRCLE * (radius, scene.height * rng.uniform(0.02, 0.06)) + centre
    scene.fill(outline, IGNORE, paint(rng) * 0.6, scene.p_max)
