"""Draws street scenes with CamVid's classes, on which `synthetic` stands.

A scene is a street in perspective. Lengths are in metres and the scale `p` is in pixels per metre, so a point
x metres right of the camera and y metres above the ground is at column `vanish + p * x`, row
`horizon + p * (camera - y)`. `p` is proportional to inverse depth and is `p_max` at the bottom row.
Colours are drawn so that classes share them: a model has to learn shapes and context.
"""

import cv2
import numpy as np

from data_pipelines.datasets.camvid_classes import CLASSES
from data_pipelines.spec import IGNORE

SKY, BUILDING, POLE, ROAD, PAVEMENT, TREE, SIGN, FENCE, CAR, PEDESTRIAN, BICYCLIST = range(len(CLASSES))

# Base colours (R, G, B); every use of one is jittered.
SKIES = (  # (top, horizon)
    ((85, 135, 205), (190, 212, 232)), ((150, 155, 162), (200, 202, 205)), ((95, 100, 112), (140, 140, 145)),
    ((110, 100, 140), (245, 165, 105)), ((225, 228, 232), (240, 238, 232)), ((60, 70, 105), (170, 130, 125)),
)  # fmt: skip
WALLS = (
    (150, 88, 72), (192, 176, 150), (122, 122, 122), (92, 98, 104), (226, 220, 208),
    (104, 122, 88), (92, 72, 60), (158, 180, 196), (204, 160, 116), (70, 92, 70),
)  # fmt: skip
GROUNDS = ((85, 85, 88), (110, 108, 105), (62, 63, 67), (132, 126, 118), (104, 92, 85), (150, 146, 142))
PAVINGS = ((150, 146, 142), (120, 118, 115), (164, 124, 104), (186, 170, 140), (94, 95, 98), (140, 105, 90))
LEAVES = ((58, 95, 45), (88, 112, 52), (124, 112, 52), (152, 95, 42), (72, 70, 46), (45, 78, 58), (110, 90, 75))
BARKS = ((88, 70, 55), (110, 105, 98), (60, 50, 42))
GLASS = ((45, 50, 58), (75, 80, 90), (130, 145, 160), (200, 205, 210))
METALS = ((70, 72, 75), (130, 132, 135), (190, 190, 188), (60, 80, 65), (105, 80, 58), (40, 40, 42))
SKINS = ((226, 186, 160), (190, 140, 110), (120, 82, 62), (80, 56, 44))

_TURN = np.linspace(0, 2 * np.pi, 14, endpoint=False)
_CIRCLE = np.stack([np.cos(_TURN), np.sin(_TURN)], axis=1)


class Scene:
    """A canvas and the camera that looks down the street.

    Attributes:
      rgb_label: [H, W, 4] uint8, red, green, blue and class id: one array, so that no shape can disagree.
      near: [H, W] uint8, inverse depth, 0 (sky) to 255 (bottom row and closer).
      road, walls: (left, right) edge of the road and of what lines the pavements, in metres from the camera.
    """

    def __init__(self, height, width, rng):
        self.rng, self.height, self.width = rng, height, width
        self.rgb_label = np.zeros((height, width, 4), np.uint8)
        self.near = np.zeros((height, width), np.uint8)
        self.horizon = height * rng.uniform(0.36, 0.52)
        self.vanish = width * rng.uniform(0.32, 0.68)
        self.camera = rng.uniform(1.3, 2.2)
        self.p_max = (height - self.horizon) / self.camera
        self.bend = width * rng.normal(0, 0.08)
        self.road = (-rng.uniform(2.0, 5.5), rng.uniform(2.0, 5.5))
        self.walls = (self.road[0] - rng.uniform(1.8, 4.5), self.road[1] + rng.uniform(1.8, 4.5))

    @property
    def label(self):
        """[H, W] uint8 class ids and `IGNORE`."""
        return self.rgb_label[..., 3].copy()

    def scale(self, z):
        """Pixels per metre `z` metres ahead; its own inverse."""
        return 1.1 * self.height / z

    def project(self, x, y, p):
        """Metres and scale, broadcast together, to pixels [..., 2] (column, row)."""
        points = np.empty((*np.broadcast(x, y, p).shape, 2))
        points[..., 0] = self.vanish + p * x + self.bend * (1 - np.minimum(p / self.p_max, 1)) ** 2
        points[..., 1] = self.horizon + p * (self.camera - y)
        return points

    def on_ground(self, x0, x1, z0, z1):
        """Outline [N, 2] in pixels of the ground from `x0` to `x1` between two distances."""
        p = np.linspace(self.scale(z1), self.scale(z0), 10)
        return np.concatenate([self.project(x0, 0, p), self.project(x1, 0, p[::-1])])

    def fill(self, points, cls, colour, p=None):
        """Fills the polygon `points` ([N, 2] pixels); without `p` it keeps the nearness that is there."""
        points = np.rint(points).astype(np.int32)
        cv2.fillPoly(self.rgb_label, [points], (*map(float, colour), cls))  # OpenCV clips the colour
        if p is not None:
            cv2.fillPoly(self.near, [points], min(255.0, 255 * p / self.p_max))

    def shade(self, points, gain):
        """Darkens the polygon `points` and leaves its label alone."""
        mask = np.zeros(self.near.shape, np.uint8)
        cv2.fillPoly(mask, [np.rint(points).astype(np.int32)], 1)
        rows, columns = np.nonzero(mask)
        self.rgb_label[rows, columns, :3] = self.rgb_label[rows, columns, :3] * gain


class Pen:
    """Draws one class at one place: coordinates are metres from the foot of the object, y up, times `size`."""

    def __init__(self, scene, cls, x, p):
        self.scene, self.cls, self.p, self.size = scene, cls, p, 1.0
        self.foot = scene.project(x, 0, p)

    def pixels(self, points):
        return self.foot + np.asarray(points) * self.p * (self.size, -self.size)

    def poly(self, points, colour):
        self.scene.fill(self.pixels(points), self.cls, colour, self.p)

    def box(self, x0, y0, x1, y1, colour):
        self.poly(_rectangle(x0, y0, x1, y1), colour)

    def oval(self, x, y, rx, ry, colour):
        self.poly(_CIRCLE * (rx, ry) + (x, y), colour)

    def limb(self, start, end, width, colour):
        start, end = np.array(start), np.array(end)
        along = (end - start) / (np.hypot(*(end - start)) + 1e-6)
        aside = along[::-1] * (width / 2, -width / 2)
        self.poly([start - aside, end - aside, end + aside, start + aside], colour)

    def solid(self, points, colour):
        """The prism from `points` to the same outline 4 m further away."""
        near, vanish = self.pixels(points), (self.scene.vanish, self.scene.horizon)
        far = vanish + (near - vanish) * self.scene.scale(self.scene.scale(self.p) + 4) / self.p
        hull = cv2.convexHull(np.concatenate([near, far]).astype(np.float32))[:, 0]
        self.scene.fill(hull, self.cls, colour, self.p)

    def shadow(self, half):
        self.scene.shade(self.pixels(_CIRCLE * (half, 0.18)), 0.55)


def draw_street(scene):
    """Far first: sky, skyline, ground, what lines the street, what stands in it, the car of the camera."""
    _sky(scene)
    _skyline(scene)
    _ground(scene)
    for side in (0, 1):
        _line_street(scene, side)
    for draw, pen in sorted(_things(scene), key=lambda thing: thing[1].p):
        draw(pen, scene.rng)
    if scene.rng.random() < 0.25:
        _bonnet(scene)


def _jitter(rng, bases, spread=14):
    """One of the base colours, moved in brightness and a little in hue."""
    return np.array(bases[rng.integers(len(bases))]) + rng.normal(0, spread) + rng.normal(0, spread / 2, 3)


def _paint(rng):
    """Any colour, most often a dull one: cars, clothes, doors and signs."""
    return np.clip(rng.uniform(25, 225) + rng.normal(0, 1, 3) * rng.choice([6, 25, 60]), 5, 250)


def _smooth_noise(rng, height, width, cells):
    """[H, W] float32 of about unit size, with blobs of 1 / `cells` of the image."""
    return cv2.resize(rng.standard_normal((cells, cells), np.float32), (width, height), interpolation=cv2.INTER_CUBIC)


def _rectangle(x0, y0, x1, y1):
    return [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]


def _sky(scene):
    rng, height, width = scene.rng, scene.height, scene.width
    top, bottom = (np.array(colour) + rng.normal(0, 8, 3) for colour in SKIES[rng.integers(len(SKIES))])
    ramp = np.clip(np.linspace(0, height / scene.horizon, height), 0, 1)[:, None, None]
    cloud = _smooth_noise(rng, height, width, 5) + 0.6 * _smooth_noise(rng, height, width, 14)
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
        cls, colours, outline = BUILDING, WALLS, _rectangle(left, top, right, scene.horizon)
        if rng.random() < 0.5:
            cls, colours = TREE, LEAVES
            outline = _CIRCLE * (0.7 * (right - left), scene.horizon - top) + ((left + right) / 2, scene.horizon)
        scene.fill(outline, cls, _jitter(rng, colours), 0.06 * scene.p_max)
        left = right


def _ground(scene):
    """Pavement, now and then with a verge of grass, the road with its markings, shadows across both."""
    rng, paving = scene.rng, _jitter(scene.rng, PAVINGS)
    scene.near[int(scene.horizon) :] = np.linspace(0, 255, scene.height - int(scene.horizon))[:, None]
    scene.fill(_rectangle(0, scene.horizon, scene.width, scene.height), PAVEMENT, paving)
    for joint in np.arange(scene.walls[0], scene.walls[1], 1.2):
        _strip(scene, joint, joint + 0.06, PAVEMENT, paving * 0.9)
    for edge, out in zip(scene.road, (-1, 1)):
        if rng.random() < 0.25:
            _strip(scene, edge, edge + out * rng.uniform(0.6, 1.5), TREE, _jitter(rng, LEAVES))
        _strip(scene, edge, edge + out * 0.25, PAVEMENT, paving * rng.choice([0.75, 1.2]))
    _strip(scene, *scene.road, ROAD, _jitter(rng, GROUNDS))
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
            _tree(Pen(scene, TREE, x + out * rng.uniform(0.5, 5), scene.scale(z)), rng)
    if rng.random() < 0.45:
        _fence(scene, x - out * 0.3, start, start + rng.uniform(8, 35))


def _building(scene, x, out, z0, z1):
    """One house: the end that faces the camera, then the front along the street, bay by bay."""
    rng, storey = scene.rng, scene.rng.uniform(2.7, 3.6)
    floors, wall, roof, door = rng.integers(1, 6), _jitter(rng, WALLS), 0.7 * _jitter(rng, WALLS), _paint(rng)
    glass, width, sill = _jitter(rng, GLASS), rng.uniform(0.3, 0.8), rng.uniform(0.7, 1.1)
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
    bars, pickets = _jitter(rng, METALS + WALLS), rng.integers(1, 8)
    gap = bars * rng.uniform(0.5, 0.9) if rng.random() < 0.4 else _jitter(rng, LEAVES + PAVINGS)
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


def _things(scene):
    """[(drawing function, pen)] of what stands on the street."""
    rng, (left, right), (wall_left, wall_right) = scene.rng, scene.road, scene.walls
    road = ((left + 0.9, right - 0.9),)
    kerb = ((left - 0.7, left - 0.2), (right + 0.2, right + 0.7))
    pavement = ((wall_left + 0.5, left), (right, wall_right - 0.5))
    plan = (
        (_car, CAR, 1, 4, road), (_pedestrian, PEDESTRIAN, 1, 3, pavement), (_pedestrian, PEDESTRIAN, 0, 1, road),
        (_bicyclist, BICYCLIST, 1, 2, road + kerb), (_pole, POLE, 0, 2, kerb), (_sign, SIGN, 1, 3, kerb + pavement),
        (_tree, TREE, 0, 2, kerb + pavement),
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


def _tree(pen, rng):
    leaves, stem, rx, ry = _jitter(rng, LEAVES), rng.uniform(1.6, 3), rng.uniform(1, 2.2), rng.uniform(1.2, 2.8)
    pen.limb((0, 0), (rng.normal(0, 0.15), stem + ry), rng.uniform(0.15, 0.4), _jitter(rng, BARKS))
    spots = rng.normal(0, 0.45, (35, 2))
    for dx, dy in spots[np.hypot(*spots.T) < 1]:
        size = rng.uniform(0.12, 0.4)  # tufts, lit from above
        pen.oval(dx * rx, stem + ry + dy * ry, size * rx, size * ry, leaves * (1 + 0.25 * dy) + rng.normal(0, 13))


def _pole(pen, rng):
    height, colour = rng.uniform(3.5, 8), _jitter(rng, METALS)
    pen.limb((0, 0), (0, height), max(0.13, 1.5 / pen.p), colour)
    if rng.random() < 0.6:
        lamp = (rng.choice([-1, 1]) * rng.uniform(0.6, 1.5), height + 0.2)
        pen.limb((0, height), lamp, 0.1, colour)
        pen.oval(*lamp, 0.3, 0.1, colour * 1.2)


def _sign(pen, rng):
    """A round, triangular or rectangular sign on its pole."""
    y, r, rim = rng.uniform(2.2, 3), rng.uniform(0.35, 0.6), _paint(rng)
    pen.cls = POLE
    pen.limb((0, 0), (0, y), max(0.1, 1.5 / pen.p), _jitter(rng, METALS))
    pen.cls = SIGN
    outlines = (_CIRCLE, [(-1, -0.8), (1, -0.8), (0, 1)], _rectangle(-1, -rng.uniform(0.6, 1.4), 1, 1))
    outline = r * np.array(outlines[rng.integers(3)])
    pen.poly(outline + (0, y), rim)
    pen.poly(0.75 * outline + (0, y), _paint(rng))
    pen.box(-0.4 * r, y - 0.15 * r, 0.4 * r, y + 0.1 * r, rim)


def _car(pen, rng):
    """From behind or in front, with its flank in perspective, or now and then from the side."""
    colour = _paint(rng) if rng.random() < 0.6 else _jitter(rng, GROUNDS)
    glass, dark = _jitter(rng, GLASS), np.full(3, rng.uniform(20, 45))
    pen.shadow(2.2)
    if rng.random() < 0.25:
        return _car_side(pen, rng, colour, glass, dark)
    half, top = rng.uniform(0.8, 1.0), rng.uniform(1.4, 2.0)
    body = [(-half, 0.25), (half, 0.25), (half, 0.95), (0.8 * half, top), (-0.8 * half, top), (-half, 0.95)]
    window = [(-0.8 * half, 1), (0.8 * half, 1), (0.68 * half, top - 0.12), (-0.68 * half, top - 0.12)]
    lamp = np.array((200, 40, 35) if rng.random() < 0.5 else (235, 235, 215))
    for edge in (-1, 1):
        pen.box(edge * 0.65 * half, 0, edge * 0.95 * half, 0.5, dark)
    pen.solid(_rectangle(-half, 0.12, half, 0.3), dark)
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
    for points, paint in ((body, colour), (rear_window, glass), (front_window, glass)):
        pen.poly(np.array(points) * flip, paint)
    for wheel in (-1.3, 1.3):
        pen.oval(wheel, 0.33, 0.35, 0.35, dark)
        pen.oval(wheel, 0.33, 0.17, 0.17, dark + 100)


def _pedestrian(pen, rng):
    pen.size = rng.uniform(0.75, 1.1)  # children and adults
    top, legs, stride, half = _paint(rng), _paint(rng), rng.uniform(0.05, 0.35), rng.uniform(0.2, 0.28)
    pen.shadow(0.4)
    for foot in (-stride, stride):
        pen.limb((foot / 3, 0.9), (foot, 0), 0.17, legs)
    _upper_body(pen, rng, (0, 0.85), (0, 1.45), half, top, _jitter(rng, METALS))
    for edge in (-1, 1):
        pen.limb((edge * half, 1.42), (edge * (half + rng.uniform(0, 0.2)), 0.85), 0.11, top * 0.85)
    if rng.random() < 0.3:
        pen.box(half, 0.55, half + 0.3, 0.85, _paint(rng))  # a bag


def _upper_body(pen, rng, hip, neck, half, top, hair):
    """Trunk, head and hair (or a helmet)."""
    pen.limb(hip, neck, 2 * half, top)
    pen.oval(neck[0], neck[1] + 0.17, 0.12, 0.16, _jitter(rng, SKINS, 6))
    pen.poly(_CIRCLE[:8] * (0.13, 0.14) + (neck[0], neck[1] + 0.21), hair)


def _bicyclist(pen, rng):
    """A person on two wheels, from the side or from behind; what shows through the wheels counts, as in CamVid."""
    top, legs, frame, helmet, tyre = _paint(rng), _paint(rng), _paint(rng), _paint(rng), _paint(rng) * 0.3
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
        pen.oval(wheel, 0.34, 0.26, 0.26, _jitter(rng, GROUNDS))
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


def _bonnet(scene):
    """The front of the camera's own car: void."""
    rng, radius = scene.rng, scene.width * scene.rng.uniform(0.4, 0.7)
    centre = (scene.width * rng.uniform(0.4, 0.6), scene.height)
    outline = _CIRCLE * (radius, scene.height * rng.uniform(0.02, 0.06)) + centre
    scene.fill(outline, IGNORE, _paint(rng) * 0.6, scene.p_max)


def photograph(scene, bands):
    """[H, W, bands] uint8: the scene under some light, through a lens, with noise."""
    rng, (height, width) = scene.rng, scene.near.shape
    rgb = cv2.GaussianBlur(scene.rgb_label[..., :3], (3, 3), rng.uniform(0.3, 0.7)).astype(np.float32)
    slope = np.linspace(-1, 1, width, dtype=np.float32) * rng.uniform(-0.25, 0.25)
    light = rng.uniform(0.55, 1.2) * (1 + slope) * (1 + 0.05 * _smooth_noise(rng, height, width, 6))
    rgb *= light[..., None] * rng.uniform(0.88, 1.12, 3).astype(np.float32)
    rgb += rng.uniform(2, 8) * rng.standard_normal(rgb.shape, np.float32)
    planes = [*np.moveaxis(rgb, -1, 0)] if bands > 2 else [rgb @ np.array([0.299, 0.587, 0.114], np.float32)]
    for number, kind in list(enumerate(band_kinds(bands)))[len(planes) :]:
        planes.append(_extra_band(kind, number, planes, scene) + 5 * rng.standard_normal((height, width), np.float32))
    return np.clip(np.stack(planes, axis=-1), 0, 255).astype(np.uint8)


def band_kinds(bands):
    """Name of each of `bands` bands: "luma", "near", "red", "green", "blue", "infrared" or "mix"."""
    kinds = ("luma", "near") if bands < 3 else ("red", "green", "blue", "near", "infrared")
    return kinds[:bands] + ("mix",) * (bands - len(kinds))


def _extra_band(kind, number, planes, scene):
    """[H, W] float without noise, from the bands before it."""
    if kind == "near":
        return scene.near
    if kind == "infrared":
        return 0.6 * planes[0] + 0.1 * planes[2] + 70 * (scene.rgb_label[..., 3] == TREE)
    # The weights depend on the number of the band only, so that it means the same in every scene.
    weights = np.random.default_rng(number).normal(0, 1, 5)
    return 127 + 120 * np.tanh(sum(w * (plane / 128 - 0.8) for w, plane in zip(weights, planes)))
