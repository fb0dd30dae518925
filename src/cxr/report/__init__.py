"""Stage 12: one page that tells people how a run came out."""

from cxr.report.write import write_report

__all__ = ["write_report"]
