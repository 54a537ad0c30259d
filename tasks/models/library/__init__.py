"""Trunks of timm and torchvision, the heads on them, and the store of what they give when they are frozen."""
