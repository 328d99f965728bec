"""From per-item scores to tables, figures and the report; never imports torch."""
