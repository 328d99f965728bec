"""Statistics of per-item scores: estimates, resampling, intervals, tests; NumPy and SciPy only."""
