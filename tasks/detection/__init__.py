"""Object detection by SSD, on mmdet's parts."""
