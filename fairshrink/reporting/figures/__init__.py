"""The figures of a study, SVG and PNG, a few per model and task."""

