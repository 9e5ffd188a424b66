"""The sentences that stand under tables and in figures: what a reader must know before believing a number."""

from __future__ import annotations

ONE_SEED = "One seed: no intervals, and no ranking can be read from this table."
BOLD = "Bold marks the best figure of a column, which is not a winner."
SEEDS = (
    "Mean ± standard deviation over seeds; brackets are 95 % t intervals. Best in bold, second best in italics (underlined in "
    "LaTeX and on the page). ≈ cannot be told from the best at these seeds: the interval of the paired difference, widened for "
    "the number of rows, contains zero, which does not make them equal."
)
NO_SINGLE_TASK = "No single-task runs in this study: Δ is n/a."
DELTA = (
    "Δ: relative improvement over single-task of the same seed on each task's primary metric, averaged over tasks. Δ, all "
    "metrics: over all declared metrics of a task first. A metric enters where single-task beats the constant predictor by the "
    "95 % interval of its skill."
)
DERIVED = (
    "Derived {names}: these labels were computed from another task's labels, which inflates transfer between the two. "
    "Read the same study without them beside this one."
)
UNDECIDED = (
    "‡ The learned policy is undecided (mean |α − .5| below .1), so its decisions are close to coin flips: {told}."
)
ORACLE = "best-test-oracle: what was deployed was CHOSEN ON THE TEST SPLIT; these figures are optimistic by design."
COST = (
    "MACs are multiply-adds for one input. All tasks: shared work counted once. Own passes: every task in a pass of its own, "
    "as the papers count. Backbone × is relative to one plain backbone."
)
LATENCY = "Latency: median of one input and all tasks with its quartiles, all networks in turns, alone, on {where}."
PROCESSOR = "Processor time: of all cores together, on {where}."
SKILL = "Skill: 1 − e / e_constant on the task's primary metric; 0 is the constant predictor, 1 is without error."
AGAINST = (
    "Gain: positive is better than hard sharing of the same seed, with its 95 % t interval. p: paired t test, corrected by "
    "Holm: the gains over all tasks together with everything else that the answer could have said, tasks' primary metrics as a "
    "family of their own. Detectable: the smallest true difference found with a chance of 80 % at the strictest level of that "
    "correction. A large p is no evidence that two methods are equal."
)
CONTROLLED = (
    "Given the same steps, given the same FLOPs: hard sharing trained as long as the method of that row was, in all its phases "
    "together, paired by seed. A method is said to be better only if it is better than each of them."
)
WITHOUT_ERROR = (
    "In no skill and no mean: {names}; the constant predictor is without error there, so nothing can be learned."
)
AGAINST_ONE_SEED = "One seed: differences without intervals or tests; they say nothing about another seed."
PUBLISHED = "Published figures stand apart: they were measured in other settings and enter no mean, mark or test here."
TEST_SET = (
    "What another test set of this size would change: percentile intervals over 1,000 resamples of blocks of neighbouring "
    "test images (of single ones where neighbours have nothing to do with each other), the same for every method; figures of "
    "the seeds averaged. It does not contain the spread over seeds."
)
NAMED = " Of a method with several rows, the one that its trials chose has the method's name alone."
OVERVIEW = (
    "Δ: by how many percent the tasks' primary metrics are better than those of single-task networks of the same seed, "
    "averaged over tasks, with its 95 % t interval over seeds; where a study has no single-task runs, the mean skill (1 is "
    "without error, 0 no better than a constant). One seed has no interval and claims nothing."
)
OVERVIEW_MARKS = (
    " ▲ better, ▼ worse than hard sharing, and than every control that trains as long, by a paired test corrected over "
    "{over} of this table (Holm). No mark: not told apart, which is not equal."
)
EFFECTS = (
    "Gain and interquartile mean in Δ; the probability of improvement is that a run of the method is above one of hard "
    "sharing. Brackets: percentile intervals over 2,000 draws of data sets and, inside each, of seeds; over few data sets "
    "they are too narrow. p: t test over the data sets' mean gains, corrected by Holm; sentences follow it alone."
)
FRONT_POINTS = (
    "Primary metrics over seeds with 95 % t intervals, at fixed weights of the tasks. Beyond hard sharing: against each point "
    "of hard sharing of the same seed the task in which this one is furthest ahead, in percent; of these the least. Above 0 no "
    "weights of hard sharing that were run are as good in every task, below 0 some are better in all. It is taken against the "
    "best of several noisy points, which favours hard sharing; another trade-off alone makes it positive, so a method is "
    "judged by what it reaches over all weights."
)
FRONT_REACH = (
    "Reach: of the box between the worst and the best mean figure of each task, the share that some weights of the method are "
    "at least as good as (hypervolume; a seed may leave the box). Less hard sharing's: over the same weights, paired by seed, "
    "with its 95 % t interval; p of the paired t test, corrected over the methods (Holm). Not told apart is not equal."
)
SWEEP = (
    "Mean over seeds with its 95 % t interval; Δ of the primary metrics is over single-task of the same seed and value. Rise: "
    "along the least squares line through each seed's figures, from the first value to the last, with its 95 % t interval."
)
SWEEP_MARKS = (
    " ▲ better, ▼ worse than hard sharing at the same value, by a paired test corrected over the {tested} comparisons of this "
    "table (Holm). No mark: not told apart, which is not equal."
)
