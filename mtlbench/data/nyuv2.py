"""NYUv2 (Silberman et al., ECCV 2012): indoor scenes with segmentation, normals and depth, in three layouts on disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field

from mtlbench.data.base import DataOptions, Reference
from mtlbench.data.disk.dense import DenseDataset, DenseOptions
from mtlbench.data.disk.files import folder
from mtlbench.data.disk.nyuv2_layouts import EXPECTED, recognise
from mtlbench.data.published import DENSE, experiment

WEIGHTS = {"segmentation": 1.0, "normals": 20.0, "depth": 3.0}  # AdaShare's lambda, 2 and 3 tasks
_CONSTANTS = "Sun et al., NeurIPS 2020 (arXiv 1911.12423), 480x640: the released code's single-task constants"
_PAPER_TABLE = "Sun et al., NeurIPS 2020 (arXiv 1911.12423), 480x640"


class NYUv2Options(DenseOptions):
    """`classes` is 40 or 13, formed of the 40 by the standard map (None: the layout's own, 40, or LibMTL's 13).

    `derived_normals` says that the normals were computed from depth: None means so unless the images have a published size
    (480x640, or 288x384). `crop` None is 321 where the images are larger, else the whole image.
    """

    classes: Literal[40, 13] | None = Field(
        default=None,
        description="Classes of the segmentation; 13 are formed of the 40 by the standard map (null: the layout's own).",
    )
    derived_normals: bool | None = Field(
        default=None,
        description="Whether normals were computed from depth (null: unless the images have a published size).",
    )


class NYUv2(DenseDataset):
    """795 training and 654 test images of rooms: segmentation, normals, depth in metres."""

    name: ClassVar[str] = "nyuv2"
    paper_crop: ClassVar[int] = 321
    Options: ClassVar[type[DataOptions]] = NYUv2Options
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "quick": {"backbone": "resnet18", "width": 0.125, "head": 16, "steps": 300, "batch_size": 8, "lr": 3e-3},
        "standard": {  # the study's cell A: its length, and the trial that was best for both anchors (results/tuning)
            "backbone": "resnet18", "width": 0.25, "head": 32, "steps": 8000, "batch_size": 8,
            "lr": 6.7e-3, "weight_decay": 5.6e-4, "dropout": 0.06, "data": {"image_size": (48, 64)},
        },
        "paper": experiment(20_000, 1e-3, "step:4000:0.5", **DENSE, weights=WEIGHTS),
    }  # fmt: skip
    references: ClassVar[Sequence[Reference]] = (
        Reference(
            "single-task, ResNet-34 (published)",
            _CONSTANTS,
            {
                "segmentation": {"miou": 27.5, "pixel_accuracy": 58.9},
                "depth": {
                    "abs_error": 0.62, "rel_error": 0.25,
                    "delta_1.25": 57.9, "delta_1.25^2": 85.8, "delta_1.25^3": 95.7,
                },
            },
        ),
        Reference("AdaShare, 3 tasks, ResNet-34 (published)", _PAPER_TABLE, {"segmentation": {"miou": 30.2}}),
        Reference("AdaShare, 2 tasks, ResNet-18 (published)", _PAPER_TABLE, {"segmentation": {"miou": 29.6}}),
    )  # fmt: skip
    """No angle of normals: the published ones were measured on undecoded 8-bit vectors and are not comparable."""

    def __init__(self, options: NYUv2Options, root: Path | None, tasks: Sequence[str] | None) -> None:
        super().__init__(options, root, tasks)
        place = folder(root, self.name, EXPECTED)
        self.adopt(recognise(place, options.classes, options.derived_normals), options, tasks)

    def preset(self, name: str) -> Mapping[str, Any]:
        """A preset's settings; the paper trains ResNet-18 on two tasks."""
        small = name == "paper" and len(self.tasks) < 3
        return {**self.presets[name], "backbone": "resnet18"} if small else self.presets[name]
