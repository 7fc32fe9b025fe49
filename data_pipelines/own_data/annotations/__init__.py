"""Files of labelme, COCO, GeoJSON, CVAT and VIA: what was drawn on which image."""
