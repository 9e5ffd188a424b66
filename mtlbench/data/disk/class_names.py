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

# The 13 classes (from 1, as in the tuple above) of the 40: `classMapping13` of class13Mapping.mat, published with SceneNet
# (Handa et al., CVPR 2016; github.com/ankurhanda/nyuv2-meta-data), by which Couprie et al.'s classes are formed everywhere
NYUV2_13_OF_40 = (
    12, 5, 6, 1, 4, 9, 10, 12, 13, 6, 8, 6, 13, 10, 6, 13, 6, 7, 7, 5,
    7, 3, 2, 6, 11, 7, 7, 7, 7, 7, 7, 6, 7, 7, 7, 7, 7, 7, 6, 7,
)  # fmt: skip

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
