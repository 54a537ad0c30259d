"""Names of data sets, and of their classes and joints in the official order."""

FETCHABLE = ("cifar10", "voc2007", "voc2012")
"""What `lossbench data fetch` downloads, beside torchvision's classification data sets by their names."""
TORCHVISION_FOLDER = "torchvision"
"""Where these lie below the data folder."""
VOC_CLASSES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable", "dog",
    "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip
MPII_JOINTS = (
    "right ankle", "right knee", "right hip", "left hip", "left knee", "left ankle", "pelvis", "thorax",
    "upper neck", "head top", "right wrist", "right elbow", "right shoulder", "left shoulder", "left elbow",
    "left wrist",
)  # fmt: skip
MPII_MIRRORED = (5, 4, 3, 2, 1, 0, 6, 7, 8, 9, 15, 14, 13, 12, 11, 10)
"""For each joint the index of its counterpart in a horizontally flipped image."""
MPII_LIMBS = ((0, 1), (1, 2), (3, 4), (4, 5), (6, 7), (7, 8), (8, 9), (10, 11), (11, 12), (13, 14), (14, 15))
"""Pairs of joints between which a picture shows a line."""
CAMVID_CLASSES = (
    "sky", "building", "pole", "road", "pavement", "tree", "sign", "fence", "car", "pedestrian", "bicyclist",
)  # fmt: skip
"""Of the usual masks, in the order of their numbers (Badrinarayanan et al. 2017)."""
CAMVID_VOID = (11,)
"""The number of pixels without a class in these masks."""
BACKGROUND = "background"
"""A class of this name is everything that has no class of its own; pictures do not color it."""
