"""The page: rows of runs, answers, templates."""
