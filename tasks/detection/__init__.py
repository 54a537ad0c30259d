"""Object detection by SSD, built from mmdet's modules."""
