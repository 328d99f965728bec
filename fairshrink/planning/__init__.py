"""From a study to jobs: the grid with its keys, the plan, and what the Snakefile calls."""
