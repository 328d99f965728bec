"""The examples of a task: how tables are read and divided."""
