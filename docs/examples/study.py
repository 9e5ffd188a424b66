"""A study as a notebook: cells begin with `# %%` (VS Code, Jupytext and others open it as one). A test runs it."""

# %%
import torch
from matplotlib.figure import Figure

import mtlbench
from mtlbench.data.scenes import Scenes

# %% A study in five lines. Run again it goes on, and skips what is finished.
DATA = {"images": 64, "test_images": 32, "size": 32}  # of the embedded data set: a few, so that this takes a minute
study = {"methods": "single-task,hard-sharing,cross-stitch", "tasks": "segmentation,depth", "set": {"scenes": DATA}}
done = mtlbench.run_study(**study, dataset="scenes", seeds="0,1", steps=60, workers=1, out="results")
print([(r.config.method, r.config.seed, o.status) for r, o in zip(done.requests, done.outcomes, strict=True)])

# %% What it found, as pandas tables: the report's own figures, intervals and corrected tests.
report = mtlbench.read_report("results")
print(report.table("skill").round(3))  # 0 is as good as the best constant prediction, 1 is without error
depth = report.summary[(report.summary.task == "depth") & (report.summary.metric == "abs_error")]
print(depth[["method", "n", "mean", "low", "high"]])

# %% One plot: the depth error with its interval over seeds (with two seeds it is as wide as it should be).
figure = Figure(figsize=(5, 2.5), layout="constrained")
axes = figure.subplots()
axes.errorbar(depth["mean"], depth["method"], xerr=(depth["high"] - depth["low"]) / 2, fmt="o")
axes.set_xlabel("absolute depth error on test (m), 95 % interval")
figure.savefig("depth.png")

# %% One network, loaded from its run and applied to a picture of the data set.
run = next(o.folder for r, o in zip(done.requests, done.outcomes, strict=True) if r.config.method == "hard-sharing")
network = mtlbench.load_network(run)
pictures = Scenes(Scenes.Options(**DATA)).load("test", "all", [0, 1]).inputs  # (2, 3, 32, 32), normalised
with torch.inference_mode():
    answers = network.answers({"all": pictures})
print(
    {task: tuple(output.shape) for task, output in answers.items()}
)  # as large as features; `mtlbench predict` enlarges
