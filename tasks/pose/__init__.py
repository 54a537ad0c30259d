"""Human pose estimation by heatmaps, with mmpose's codec and metric."""
