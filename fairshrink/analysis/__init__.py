"""From per-item scores to numbers: results, cells, verdicts, agreement; never imports torch."""
