"""What type checkers read instead of `__init__.py`, which loads its names lazily; a test compares the two."""

from mtlbench.backbones import Architecture as Architecture
from mtlbench.backbones import Backbone as Backbone
from mtlbench.backbones import Block as Block
from mtlbench.backbones import Build as Build
from mtlbench.checks import check_dataset as check_dataset
from mtlbench.checks import check_kind as check_kind
from mtlbench.checks import check_method as check_method
from mtlbench.data.base import Batch as Batch
from mtlbench.data.base import DataOptions as DataOptions
from mtlbench.data.base import Dataset as Dataset
from mtlbench.deployed.cost import estimate_cost as estimate_cost
from mtlbench.deployed.network import load_network as load_network
from mtlbench.method import Artefact as Artefact
from mtlbench.method import Budget as Budget
from mtlbench.method import Group as Group
from mtlbench.method import Knob as Knob
from mtlbench.method import Method as Method
from mtlbench.method import Optimizer as Optimizer
from mtlbench.method import Options as Options
from mtlbench.method import Phase as Phase
from mtlbench.method import Turn as Turn
from mtlbench.records import read_run as read_run
from mtlbench.report.frames import read_report as read_report
from mtlbench.study.start import run_study as run_study
from mtlbench.tasks import Kind as Kind
from mtlbench.tasks import Metric as Metric
from mtlbench.tasks import Task as Task
from mtlbench.training.weighting import Weighting as Weighting

__version__: str
__all__: list[str]
