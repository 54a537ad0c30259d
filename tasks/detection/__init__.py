"""Object detection by single-stage detectors, with the losses and the metric of mmdet."""
