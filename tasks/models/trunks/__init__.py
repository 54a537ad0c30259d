"""Trunks of timm, torchvision and a user's file, the heads on them, and the store of what they give when they are frozen."""
