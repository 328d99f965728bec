"""The figures of a study, SVG and PNG, a few per model and task."""

from fairshrink.reporting.figures.all_figures import write as write
