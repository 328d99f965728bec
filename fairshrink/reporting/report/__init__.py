"""The report: one self-contained HTML page with the answer, an explorer and every cell down to its items."""

from fairshrink.reporting.report.page import write

__all__ = ["write"]
