"""Per-item logs of other programs, and of this one, judged like the scores of a study: no model, no torch."""
