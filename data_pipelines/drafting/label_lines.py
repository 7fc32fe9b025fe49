"""How a dataset.yaml says what labels hold: its lines, each choice with what it was made by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from data_pipelines.datasets.pascal_voc import colour
from data_pipelines.drafting.label_looks import OBJECTS, Labels
from data_pipelines.drafting.lines import as_name, quoted
from data_pipelines.spec import IGNORE, LARGEST_ID

BACKGROUND = "background"
REST = f"rest: {BACKGROUND}  # or void: others, where that has no class"
EVEN = 2  # ids are evenly spread where no gap is wider than so many times the narrowest
NAMED = 5  # values in a line
MANY = 20  # ids from 1 on without a gap: more may count objects
LISTED = 20  # sets of classes


def label_lines(labels: Labels) -> tuple[list[str], list[str]]:
    """(lines of labels_hold, classes, palette, void, rest and labels_soft; what is to be told of them)."""
    labels, of_tag, line = _kept_tag(labels)
    told = [*_palettes(labels), *_either(labels), *_soft(labels), *_thin(labels), *_clear(labels)]
    told += [*(of_tag or _nothing(labels)), *_objects(labels)]
    lines = [*(f"# {one}" for one in told), *line]
    if labels.soft or labels.half:
        lines.append("labels_soft: nearest")
    if labels.clear:
        lines.append(REST)
    return lines + (_colours(labels) if labels.colours else _ids(labels)), told


def mask_lines(
    keys: Sequence[str], share: float, soft: int, half: int, meeting: Mapping[tuple[str, ...], int]
) -> tuple[list[str], list[str]]:
    """As `label_lines`, where every class has masks of its own.

    Args:
      keys: of classes: folders, or names of files with a star for that of the image.
      share: of the pixels that are in no mask.
      soft: how many values of masks lie between 0 and 255.
      half: pixels that are half transparent.
      meeting: pixels that are in several masks, by the keys of these, the most first.
    """
    told = [f"a mask per class: {', '.join(keys)}; {share:.2%} of the pixels are in none of them"]
    lines = ["labels_hold: masks"]
    if soft:
        told.append(f"{soft} values between 0 and 255 look like soft edges")
    elif half:
        told.append(_half(half))
    if soft or half:
        lines.append("labels_soft: nearest")
    if meeting:
        pixels = sum(meeting.values())
        told.append(f"masks overlap in {pixels} pixels: there the last in classes counts, as yet the smallest")
        lines += ["masks_overlap: last", *_several(meeting)]
    where = "file" if "*" in keys[0] else "folder"
    lines += [f"classes:  # {where}: name", *(f"  {quoted(key)}: {quoted(_said(key))}" for key in keys)]
    rest = REST if share else "void: others  # of which there are none"
    return [*(f"# {line}" for line in told), *lines, rest], told


def _several(meeting):
    """What to write in place of `masks_overlap: last`, in a comment."""
    named = [tuple(dict.fromkeys(map(_said, keys))) for keys in meeting]
    sets = dict.fromkeys(tuple(name for name in names if name != BACKGROUND) for names in named)
    found = {" + ".join(one): [*one] for one in sets if len(one) > 1}
    told = quoted(dict([*found.items()][:LISTED]))
    more = f", and {len(found) - LISTED} sets more" if len(found) > LISTED else ""
    return [f"# or, where a pixel may be all of these at once{more}:", f"# masks_overlap: {told}"] if found else []


def _said(key):
    """What of a key may be the name of the class."""
    return as_name(key.rpartition("/")[2].replace("*", "").strip("_- .") or key)


def _palettes(labels):
    return [f"{labels.palettes}: the colours are the classes"] if labels.palettes else []


def _either(labels):
    if not labels.either:
        return []
    one, other = (path.name for path in labels.either)
    return [
        f"1 is in files such as {one}, {IGNORE} in others such as {other}, and none has both: if they are one class, "
        f"give both its name, and take {IGNORE} out of void"
    ]


def _soft(labels):
    if not labels.soft and not labels.half:
        return []
    what = "colours" if labels.colours else "ids"
    if not labels.soft:
        return [_half(labels.half)]
    share, count = sum(labels.soft.values()) / _total(labels), len(labels.soft)
    values = ", ".join(map(str, sorted(labels.soft)))
    which = f" ({values})" if count <= NAMED else ""
    if labels.colours:
        between = f"between {len(labels.counts)} colours"
    else:
        between = f"between {min(labels.counts)} and {max(labels.counts)}"
    jpeg = ", and JPEG changes values" if labels.jpeg else ""
    return [
        f"{count} further values{which} {between} look like soft edges, {share:.2%} of the "
        f"pixels{jpeg}: each is taken for the nearest of the {len(labels.counts)} {what}"
    ]


def _half(pixels):
    return f"{pixels} pixels are half transparent: soft edges, which are divided in the middle"


def _thin(labels):
    thin = sorted(labels.scattered)
    if not thin or len(thin) > NAMED:
        return []
    share = sum(labels.counts[value] for value in thin) / _total(labels)
    them = f"{', '.join(map(str, thin))} {'is' if len(thin) == 1 else 'are'}"
    return [
        f"{them} in thin lines or single pixels alone, {share:.2%} of all: a class, or borders that belong to void?"
    ]


def _clear(labels):
    if not labels.clear:
        return []
    return [f"{labels.clear / _total(labels):.2%} of the pixels are transparent: a class of their own, {BACKGROUND}"]


def _kept_tag(labels):
    """(labels, what is to be told, lines): a nodata tag is a class where without it there is but one to learn."""
    classes = set(labels.counts) - {*void_ids(labels.counts)} if not labels.colours else set()
    if len(classes) != 1 or len(labels.tags) != 1 or labels.clear or not 0 <= min(labels.tags) <= LARGEST_ID:
        return labels, [], []
    (tag,) = labels.tags
    counts = dict(sorted({**labels.counts, tag: labels.nothing}.items()))
    told = (
        f"{tag} is nodata by the labels' own tags, but without it there is one class alone: so it is one, and the tags "
        "of images alone count"
    )
    return labels._replace(counts=counts, nothing=0, tags=set()), [told], ["nodata_tags: images"]


def _nothing(labels):
    if not labels.nothing:
        return []
    share = labels.nothing / _total(labels)
    return [f"{share:.2%} of the pixels have no value (their nodata, transparent in a raster, or NaN) and are void"]


def _objects(labels):
    ids = [] if labels.colours else sorted({*labels.counts} - {0, *void_ids(labels.counts)})
    counted = len(ids) > MANY and ids == [*range(1, len(ids) + 1)]
    return [f"{len(ids)} ids from 1 on without a gap: if {OBJECTS}"] if counted else []


def _ids(labels):
    own = [tag for tag in labels.tags if abs(tag) <= LARGEST_ID]
    void = sorted({*void_ids(labels.counts), *own})
    clear = {}
    if labels.clear:
        clear = {next(value for value in range(IGNORE) if value not in labels.counts): BACKGROUND}
    names = {**clear, **{value: f"class_{value}" for value in labels.counts if value not in void}}
    where = ", in three equal channels" if labels.equal else ""
    lines = [f"classes:  # id in the labels{where}: name"]
    lines += [f"  {value}: {name}  {_share(labels, value)}" for value, name in sorted(names.items())]
    hint = "  # ids that have no class"
    for value in (IGNORE, LARGEST_ID):
        if value in void and value in labels.counts:
            hint = f"  {_share(labels, value)}; if {value} is a class, move it there"
    if own:
        hint += (
            f"; {', '.join(map(str, own))} by the labels' own nodata tags: with nodata_tags: images it may be a class"
        )
    return [*lines, f"void: {void}{hint}"]


def void_ids(counts: Mapping[int, int]) -> list[int]:
    """Those ids that are no class: negative ones, and 255 or 65535 where that is the highest.

    It is a class where the ids are spread evenly from 0 to it.
    """
    ids = sorted(value for value in counts if value >= 0)
    gaps = [after - before for before, after in zip(ids, ids[1:])]
    even = ids[:1] == [0] and ids[-1] in (IGNORE, LARGEST_ID) and min(gaps) > 1 and max(gaps) <= EVEN * min(gaps)
    highest = [value for value in ids[-1:] if value in (IGNORE, LARGEST_ID) and not even]
    return [*(value for value in counts if value < 0), *highest]


def _colours(labels):
    names = {value: f"class_{number}" for number, value in enumerate(labels.counts)}
    if labels.clear:
        free = ((0, 0, 0), *(colour(number) for number in range(1, IGNORE)))
        names = {next(value for value in free if value not in names): BACKGROUND, **names}
    lines = ["labels_hold: colours", f"classes: [{', '.join(names.values())}]", "palette:"]
    lines += [f"  {name}: {list(value)}  {_share(labels, value)}" for value, name in names.items()]
    return [*lines, "void: []  # colours that have no class: move them here, out of classes and palette"]


def _share(labels, value):
    total = _total(labels)
    if value not in labels.counts:
        return f"# transparent: {labels.clear / total:.2%} of the pixels"
    thin = ", thin or scattered" if value in labels.scattered else ""
    return f"# {labels.counts[value] / total:.2%} of the pixels{thin}"


def _total(labels):
    """All pixels, those without a value too."""
    return sum(labels.counts.values()) + labels.clear + labels.nothing
