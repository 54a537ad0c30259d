"""COCO's JSON: boxes for detection, masks for segmentation, persons for pose."""
