"""Files of annotations, as their tools write them."""

import json


def labelme(path, size, *shapes, **more):
    """`shapes`: (name, kind, points)."""
    drawn = [
        {"label": name, "shape_type": kind, "points": points, "flags": {}, "group_id": None}
        for name, kind, points in shapes
    ]
    content = {"version": "5.4.1", "flags": {}, "shapes": drawn, "imagePath": "..\\..\\etc\\passwd"}
    content |= {"imageData": "no base64!", "imageHeight": size[0], "imageWidth": size[1], **more}
    return _write(path, content)


def coco(path, images, annotations, names):
    """`images`: (file name, (height, width)); `annotations`: (number of the image, name, segmentation[, iscrowd])."""
    content = {
        "images": [
            {"id": 10 + number, "file_name": name, "height": size[0], "width": size[1]}
            for number, (name, size) in enumerate(images)
        ],
        "categories": [{"id": 5 + number, "name": name} for number, name in enumerate(names)],
        "annotations": [
            {
                "id": number,
                "image_id": 10 + image,
                "category_id": 5 + names.index(name),
                "segmentation": drawn,
                "iscrowd": int(bool(crowd)),
            }
            for number, (image, name, drawn, *crowd) in enumerate(annotations)
        ],
    }
    return _write(path, content)


def geojson(path, *features, crs=None):
    """`features`: (properties, kind, coordinates)."""
    content = {
        "type": "FeatureCollection",
        "features": [
            {"type": "Feature", "properties": said, "geometry": {"type": kind, "coordinates": places}}
            for said, kind, places in features
        ],
    }
    return _write(path, content | ({"crs": {"type": "name", "properties": {"name": crs}}} if crs else {}))


def via(path, images, project=True):
    """`images`: file name -> [(attributes, shape)]."""
    content = {
        f"{name}123": {
            "filename": name,
            "size": 123,
            "regions": [{"region_attributes": said, "shape_attributes": drawn} for said, drawn in regions],
            "file_attributes": {},
        }
        for name, regions in images.items()
    }
    return _write(path, {"_via_settings": {}, "_via_img_metadata": content} if project else content)


def cvat(path, images):
    """`images`: (file name, (height, width), XML of what was drawn)."""
    told = "".join(
        f'<image id="{number}" name="{name}" width="{size[1]}" height="{size[0]}">{drawn}</image>'
        for number, (name, size, drawn) in enumerate(images)
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'<?xml version="1.0" encoding="utf-8"?><annotations><!-- 1.1 -->{told}</annotations>')
    return path


def square(left, top, side):
    """The four corners."""
    return [[left, top], [left + side, top], [left + side, top + side], [left, top + side]]


def _write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path
