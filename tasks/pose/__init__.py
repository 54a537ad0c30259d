"""Human pose estimation by stacked hourglasses, with mmpose's codec and metric."""
