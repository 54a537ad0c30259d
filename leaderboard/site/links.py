"""The paths of the site's files within it."""

from __future__ import annotations

from leaderboard.schema.records import Record
from leaderboard.scoring.sections import Section


def section_link(section: Section) -> str:
    """The path of a section's page within the site."""
    return f"tasks/{section.key.protocol}-p{section.key.version}-{section.key.track}.html"


def strategy_link(strategy: str) -> str:
    """The path of a strategy's page within the site."""
    return f"strategies/{strategy}.html"


def record_link(record: Record) -> str:
    """The path of a record within the site."""
    return f"records/{record.protocol}-p{record.version}/{record.strategy}-{record.track}-s{record.seed}.json"


def sheet_link(record: Record) -> str:
    """The path of a run's contact sheet within the site."""
    return f"sheets/{record.protocol}-p{record.version}-{record.strategy}-{record.track}-s{record.seed}.jpg"


def examples_link(section: Section) -> str:
    """The path of a picture of a section's first images within the site."""
    return f"sheets/{section.key.protocol}-p{section.key.version}-{section.key.track}.jpg"


def source_link(strategy: str) -> str:
    """The path of a strategy's source within the site."""
    return f"sources/{strategy}.txt"
