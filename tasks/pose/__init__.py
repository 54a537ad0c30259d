"""Human pose by stacked hourglasses, with mmpose's codec and metric."""
