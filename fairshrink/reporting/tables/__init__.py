"""The readable tables of a study: CSV for programs, Markdown and LaTeX for readers."""

from fairshrink.reporting.tables.all_tables import write as write
