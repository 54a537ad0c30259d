"""Object detection by SSD, on mmdet's parts."""

import tasks.openmmlab  # noqa: F401 - before mmdet is imported
