"""Ways to weigh the tasks' losses, one a file, registered under `mtlbench.weightings`."""
