"""From the records of a log to the table of items of a metric: one file for each benchmark."""
