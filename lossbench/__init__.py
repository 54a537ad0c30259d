"""Where everything meets: configuration, the active-learning loop, sweeps and the command line."""
