"""mmdet configs that a user trusts: Python files that fail while they run, or describe no SSD that can be built."""

from __future__ import annotations

from hostile_cases.case import RUN, Case, files
from hostile_cases.protocols import DETECTION, SCENES_LEFT, SWEEP
from hostile_cases.toml_text import changed, document

PROTOCOL = document(
    changed(DETECTION, "task.model", {"kind": "mmdet", "config": "own.py", "pixels": 300, "imagenet": False})
)
MODEL = """
model = dict(
    type='SingleStageDetector',
    data_preprocessor=dict(type='DetDataPreprocessor', mean=[1, 2, 3], std=[1, 1, 1], bgr_to_rgb=True),
    backbone=dict(type='SSDVGG', depth=16, out_indices=(3, 4), out_feature_indices=(22, 34)),
    neck=dict(type='SSDNeck', in_channels=(512, 1024), out_channels=(512, 1024, 512), level_strides=(2,), level_paddings=(1,),
              l2_norm_scale=20),
    bbox_head=dict(type='SSDHead', in_channels=(512, 1024, 512), num_classes=80,
                   anchor_generator=dict(type='SSDAnchorGenerator', scale_major=False, input_size=300,
                                         basesize_ratio_range=(0.2, 0.9), strides=[8, 16, 32], ratios=[[2], [2, 3], [2]]),
                   bbox_coder=dict(type='DeltaXYWHBBoxCoder')),
    train_cfg=dict(), test_cfg=dict())
"""
FAULTS: dict[str, tuple[str | bytes, tuple[str, ...]]] = {
    "a syntax error": ("def f(:\n", ("line 1", "SyntaxError")),
    "deep brackets": ("x = " + "[" * 300 + "]" * 300 + "\n", ("line 1", "nested")),
    "a NUL byte": ("x = 1\0", ("null",)),
    "binary": (bytes(range(128, 256)), ("decode",)),
    "UTF-16": (MODEL.encode("utf-16"), ("decode",)),
    "Latin-1": ("x = 'caf\xe9'\n".encode("latin-1"), ("decode",)),
    "a missing package": ("import no_such_package\n", ("model",)),
    "a missing package after its base": ("_base_ = []\nimport no_such_package\n", ("no_such_package",)),
    "an exception": ("x = 1\n1 / 0\n", ("line 2", "ZeroDivisionError")),
    "sys.exit": ("import sys\nsys.exit(0)\n", ("line 2", "SystemExit")),
    "recursion": ("def f(): f()\nf()\n", ("RecursionError",)),
    "a MemoryError": ("x = [0] * 10**15\n", ("MemoryError",)),
    "GeneratorExit": ("raise GeneratorExit\n", ("GeneratorExit",)),
    "nothing": ("", ("defines no model",)),
    "no model": ("a = 1\n", ("defines no model",)),
    "a model that is a number": ("model = 3\n", ("AttributeError",)),
    "a model without a head": ("model = dict(type='A')\n", ("bbox_head",)),
    "a base that is missing": ("_base_ = 'nowhere.py'\n", ("nowhere.py",)),
    "a base that is a number": ("_base_ = 3\n", ("TypeError",)),
    "another head": (MODEL.replace("'SSDHead'", "'NoSuch'"), ("NoSuch",)),
    "an unknown neck": (MODEL.replace("'SSDNeck'", "'NoSuch'"), ("NoSuch",)),
    "an unknown backbone": (MODEL.replace("'SSDVGG'", "'NoSuch'"), ("NoSuch",)),
    "an unknown field": (MODEL.replace("depth=16", "depth=16, surprise=1"), ("surprise",)),
    "two means": (MODEL.replace("[1, 2, 3]", "[1, 2]"), ("unpack",)),
    "means that are text": (MODEL.replace("[1, 2, 3]", "'abc'"), ("float",)),
    "a mean that is NaN": (MODEL.replace("[1, 2, 3]", "[1, 2, float('nan')]"), ("finite",)),
    "deviations of 0": (MODEL.replace("std=[1, 1, 1]", "std=[0, 0, 0]"), ("above 0",)),
    "a head of other channels": (
        MODEL.replace("in_channels=(512, 1024, 512), num", "in_channels=(5, 10, 5), num"),
        ("channels",),
    ),
    "a neck of other channels": (
        MODEL.replace("'SSDNeck', in_channels=(512", "'SSDNeck', in_channels=(5"),
        ("AssertionError",),
    ),
}


def case(name: str, content: str | bytes, wanted: tuple[str, ...]) -> Case:
    """A run of a protocol with this config, which is trusted."""
    contents = {"tasks/tiny.toml": PROTOCOL, "sweeps/tiny.toml": SWEEP, "own.py": content}
    return Case(
        f"config, {name}", files(contents), (*RUN, "--trust-config"), ("own.py", *wanted), may_leave=SCENES_LEFT
    )


CASES = tuple(case(name, content, wanted) for name, (content, wanted) in FAULTS.items())
