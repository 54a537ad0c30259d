"""The two parts of a data set, pool and test, which share no image."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tasks.errors import require
from tasks.images.files import ImageFile


def require_apart(pool: Iterable[ImageFile], test: Iterable[ImageFile]) -> None:
    """Raise a DataError where an image is in both parts, also under another path: links and `..` are followed."""
    in_pool, in_test = ({Path(str(file)).resolve() for file in part} for part in (pool, test))
    both = in_pool & in_test
    require(not both, f"{min(both) if both else ''} is in both the pool and the test", "remove it from one of them")
