"""CityScapes (Cordts et al., CVPR 2016): street scenes with segmentation and inverse depth, in three layouts on disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field

from mtlbench.data.augment import inverse_depth
from mtlbench.data.base import DataOptions, Reference
from mtlbench.data.disk.cityscapes_layouts import EXPECTED, recognise
from mtlbench.data.disk.dense import DenseDataset, DenseOptions
from mtlbench.data.disk.files import folder
from mtlbench.data.published import DENSE, experiment

WEIGHTS = {"segmentation": 1.0, "depth": 20.0}  # AdaShare's lambda
_PAPER = "Sun et al., NeurIPS 2020 (arXiv 1911.12423), 256x512, 19 classes"


class CityScapesOptions(DenseOptions):
    """`classes` None is the layout's own: 19, or 7 in LibMTL's. `height` is what official images are brought to.

    `crop` None is 224 where the images are larger, else the whole image.
    """

    classes: Literal[2, 7, 19] | None = Field(
        default=None, description="Classes of the segmentation (null: the layout's own, 19, or 7 in LibMTL's)."
    )
    height: int = Field(default=256, ge=32, le=1024, description="The height that official images are brought to.")


class CityScapes(DenseDataset):
    """Streets: segmentation and inverse depth; 2975 training images, the official 500 of validation for testing."""

    name: ClassVar[str] = "cityscapes"
    paper_crop: ClassVar[int] = 224
    Options: ClassVar[type[DataOptions]] = CityScapesOptions
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "quick": {"backbone": "resnet18", "width": 0.125, "head": 16, "steps": 300, "batch_size": 8},
        "standard": {"backbone": "resnet18", "width": 0.25, "head": 32, "steps": 2000, "batch_size": 8},
        "paper": experiment(20_000, 1e-3, "step:4000:0.5", head_lr=0.1, **DENSE, weights=WEIGHTS),
    }
    references: ClassVar[Sequence[Reference]] = (
        Reference(
            "single-task, ResNet-34 (published)",
            f"{_PAPER}: the released code's single-task constants",
            {
                "segmentation": {"miou": 40.2, "pixel_accuracy": 74.7},
                "depth": {
                    "abs_error": 0.017, "rel_error": 0.33,
                    "delta_1.25": 70.3, "delta_1.25^2": 86.3, "delta_1.25^3": 93.3,
                },
            },
        ),
        Reference("AdaShare, ResNet-34 (published)", _PAPER, {"segmentation": {"miou": 41.5}}),
    )  # fmt: skip

    def __init__(self, options: CityScapesOptions, root: Path | None, tasks: Sequence[str] | None) -> None:
        super().__init__(options, root, tasks)
        source = recognise(folder(root, self.name, EXPECTED), options.classes, _height(options))
        self.adopt(source, options, tasks, inverse_depth)


def _height(options: CityScapesOptions) -> int:
    """What official images are brought to first: no less than the size asked for."""
    wanted = options.image_size
    return (
        options.height if wanted is None else wanted if isinstance(wanted, int) else max(wanted[0], -(-wanted[1] // 2))
    )
