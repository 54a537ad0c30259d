"""Human pose by stacked hourglasses, with mmpose's codec and metric."""

import tasks.openmmlab  # noqa: F401 - before mmpose is imported
