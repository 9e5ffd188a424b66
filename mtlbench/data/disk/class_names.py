"""What the classes of published label sets are called, in the order of their numbers, by the number of classes."""

from __future__ import annotations

from collections.abc import Mapping

# Gupta et al. (CVPR 2013), as in the 40 classes' mapping, and the 13 classes of Couprie et al. (ICLR 2013)
NYUV2: Mapping[int, tuple[str, ...]] = {
    40: (
        "wall", "floor", "cabinet", "bed", "chair", "sofa", "table", "door", "window", "bookshelf", "picture", "counter",
        "blinds", "desk", "shelves", "curtain", "dresser", "pillow", "mirror", "floor mat", "clothes", "ceiling", "books",
        "refrigerator", "television", "paper", "towel", "shower curtain", "box", "whiteboard", "person", "night stand",
        "toilet", "sink", "lamp", "bathtub", "bag", "other structure", "other furniture", "other prop",
    ),
    13: (
        "bed", "books", "ceiling", "chair", "floor", "furniture", "objects", "picture", "sofa", "table", "tv", "wall",
        "window",
    ),
}  # fmt: skip

# Cordts et al. (CVPR 2016): the classes evaluated, and their categories
CITYSCAPES: Mapping[int, tuple[str, ...]] = {
    19: (
        "road", "sidewalk", "building", "wall", "fence", "pole", "traffic light", "traffic sign", "vegetation", "terrain",
        "sky", "person", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle",
    ),
    7: ("flat", "construction", "object", "nature", "sky", "human", "vehicle"),
    2: ("background", "foreground"),
}  # fmt: skip

SENTIMENT = ("negative", "positive")
