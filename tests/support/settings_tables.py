"""A `task` table for every class of settings, in which every field is set."""

from __future__ import annotations

from typing import Any

RECIPE = {"epochs": 1, "batch": 2, "optimizer": "sgd", "learning_rate": 0.1, "momentum": 0.5, "weight_decay": 0.1}
RECIPE |= {"milestones": [0.2, 0.5], "warm_start": True, "fused": True}
DATA = {"scenes": {"seed": 1, "pool": 60, "test": 9}, "validation": 9}
CLASSIFIER = {"kind": "classification", "model": {"kind": "resnet18", "width": 8, "stem": "imagenet", "pixels": 32}}
LABELED = {"images": "a", "labels": ["b.json"], "classes": ["cat", "car"], "held_out": 0.3, "unlabeled": True}
OWN = {"kind": "file", "name": "two-stages", "pixels": 32, "freeze": True, "mirrored": True, "trunk_precision": "bf16"}
TASKS: dict[str, dict[str, Any]] = {
    "classification": CLASSIFIER,
    "classification by timm": {
        "kind": "classification",
        "model": {
            "kind": "timm",
            "name": "test_resnet",
            "weights": "none",
            "pixels": 32,
            "taps": ["layer1", "layer2"],
            "hidden": 16,
            "freeze": True,
            "mirrored": True,
            "trunk_precision": "bf16",
        },
    },
    "classification of folders": CLASSIFIER | {"data": {"folder": "a", "validation": 9, "test": 0.3}},
    "classification of a table": CLASSIFIER | {"data": {"table": "a.csv", "validation": 9, "test": 0.3}},
    "classification of torchvision": CLASSIFIER | {"data": {"torchvision": "SVHN", "validation": 9, "test": 0.3}},
    "classification of a labeled folder": CLASSIFIER | {"data": {"labeled": LABELED, "validation": 9, "test": 0.3}},
    "detection of a labeled folder": {
        "kind": "detection",
        "model": {"kind": "resnet18", "width": 8, "pixels": 64},
        "data": {"labeled": LABELED, "validation": 9},
    },
    "pose of a labeled folder": {
        "kind": "pose",
        "model": {"kind": "hourglass", "stacks": 1, "width": 8, "depth": 1, "pixels": 64},
        "data": {"labeled": LABELED, "validation": 9},
        "normalized_by": "box",
    },
    "segmentation of a labeled folder": {
        "kind": "segmentation",
        "model": {"kind": "resnet18", "width": 8, "pixels": 32},
        "data": {"labeled": LABELED, "validation": 9},
    },
    "classification by a file": {
        "kind": "classification",
        "model": OWN,
    },
    "detection by a file": {
        "kind": "detection",
        "model": OWN
        | {"levels": 2, "extra_levels": 1, "channels": 8, "sizes": [0.1, 0.2, 0.3, 0.4], "ratios": [2.0, 3.0]},
    },
    "detection": {
        "model": {
            "kind": "resnet18",
            "width": 8,
            "pixels": 64,
            "sizes": [0.1, 0.2, 0.3, 0.4, 0.5],
            "extra_channels": 8,
        },
        "data": DATA
        | {"pool": ["2007/trainval", "2012/trainval"], "test": ["2007/test", "2012/test"], "classes": ["cat", "car"]}
        | {"need_object": True, "stored_pixels": 64},
        "zoom": 2.0,
        "rows": {"most": 20, "threshold": 0.5},
        "pretraining": CLASSIFIER | {"data": DATA, "recipe": RECIPE},
    },
    "detection of COCO files": {
        "kind": "detection",
        "model": {"kind": "resnet18", "width": 8, "pixels": 64},
        "data": {
            "coco": {"pool": "a.json", "pool_images": "a", "test": "b.json", "test_images": "b"},
            "validation": 9,
        },
    },
    "detection of a YOLO set": {
        "kind": "detection",
        "model": {"kind": "resnet18", "width": 8, "pixels": 64},
        "data": {"yolo": "a.yaml", "validation": 9},
    },
    "detection by mmdet": {
        "kind": "detection",
        "model": {"kind": "mmdet", "config": "x.py", "weights": "none", "pixels": 300, "imagenet": False},
    },
    "detection by timm": {
        "kind": "detection",
        "model": {
            "kind": "timm",
            "name": "test_resnet",
            "weights": "none",
            "pixels": 96,
            "taps": ["layer1", "layer2"],
            "hidden": 0,
            "freeze": True,
            "mirrored": True,
            "trunk_precision": "bf16",
            "levels": 2,
            "extra_levels": 1,
            "channels": 8,
            "sizes": [0.1, 0.2, 0.3, 0.4],
            "ratios": [2.0, 3.0],
        },
    },
    "pose": {
        "model": {"kind": "hourglass", "stacks": 1, "width": 8, "depth": 1, "pixels": 64},
        "data": DATA | {"images": "a", "pool": "b", "test": "c", "center_shift": 1.0, "frame": 1.1, "margin": 1.5},
        "sigma": 1.5,
        "rotation_degrees": 15.0,
        "zoom": 0.2,
        "flip_test": True,
        "counted_joints": [1, 2],
        "pretraining": {"data": DATA, "recipe": RECIPE},
    },
    "pose of COCO files": {
        "kind": "pose",
        "model": {"kind": "hourglass", "stacks": 1, "width": 8, "depth": 1, "pixels": 64},
        "data": {
            "coco": {"pool": "a.json", "pool_images": "a", "test": "b.json", "test_images": "b", "category": "cat"},
            "validation": 9,
        },
        "normalized_by": "box",
    },
    "segmentation of COCO files": {
        "kind": "segmentation",
        "model": {"kind": "resnet18", "width": 8, "pixels": 32},
        "data": {"layout": "coco", "pool": "a.json", "pool_images": "a", "test": "b.json", "test_images": "b"}
        | {
            "scenes": None,
            "labeled": None,
            "classes": ["cat", "car"],
            "background": "sky",
            "stored_pixels": 64,
            "validation": 9,
        },
    },
    "pose by timm": {
        "kind": "pose",
        "model": {
            "kind": "timm",
            "name": "test_resnet",
            "weights": "none",
            "pixels": 32,
            "taps": ["layer1", "layer2"],
            "hidden": 0,
            "freeze": True,
            "mirrored": True,
            "trunk_precision": "bf16",
            "levels": 1,
            "deconvolutions": 2,
            "width": 8,
        },
    },
    "segmentation": {
        "model": {"kind": "resnet18", "width": 8, "stem": "half", "pixels": 32, "levels": 2, "channels": 8},
        "data": DATA
        | {
            "layout": "folders",
            "pool": [
                {"images": "a", "masks": "b", "suffix": "_L"},
                {"images": "c", "masks": "d", "suffix": "_M"},
            ],
            "test": [{"images": "e", "masks": "f", "suffix": "_L"}],
            "classes": ["cat", "car"],
            "void": [2, 3],
            "stored_pixels": 64,
        },
        "cells": {"grid": 4, "weight": "classes"},
        "smallest_crop": 0.5,
    },
    "segmentation of Cityscapes": {
        "kind": "segmentation",
        "model": {
            "kind": "timm",
            "name": "test_resnet",
            "weights": "none",
            "pixels": 32,
            "taps": ["layer1", "layer2"],
            "hidden": 0,
            "freeze": True,
            "mirrored": True,
            "trunk_precision": "bf16",
            "levels": 1,
            "channels": 8,
        },
        "data": DATA
        | {
            "scenes": None,
            "labeled": None,
            "layout": "cityscapes",
            "folder": "a",
            "pool": ["train", "b"],
            "test": ["val"],
            "stored_pixels": 64,
        },
    },
    "pose by mmpose": {
        "kind": "pose",
        "model": {"kind": "mmpose", "config": "x.py", "weights": "none", "pixels": 64, "taps": ["backbone.layer1"]},
    },
}
