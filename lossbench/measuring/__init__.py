"""What training and selection cost."""
