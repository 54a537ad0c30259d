"""The built-in data set: rendered scenes for every kind of task, written in arrays, in the layouts of VOC and MPII, and as masks."""

from tasks.datasets.scenes.compose import DetectionScene, Factors, FigureScene, ObjectScene, SceneObject
from tasks.datasets.scenes.drawing import CLASSES
from tasks.datasets.scenes.figure import JOINTS
from tasks.datasets.scenes.layouts import (
    MASK_CLASSES,
    MASK_FOLDERS,
    MASKS_LAYOUT,
    MPII_LAYOUT,
    OBJECTS_LAYOUT,
    VOC_LAYOUT,
    Layout,
    materialize,
)
from tasks.datasets.scenes.render import render_detection_scene, render_figure_scene, render_object_scene

__all__ = [
    "CLASSES",
    "JOINTS",
    "MASKS_LAYOUT",
    "MASK_CLASSES",
    "MASK_FOLDERS",
    "MPII_LAYOUT",
    "OBJECTS_LAYOUT",
    "VOC_LAYOUT",
    "DetectionScene",
    "Factors",
    "FigureScene",
    "Layout",
    "ObjectScene",
    "SceneObject",
    "materialize",
    "render_detection_scene",
    "render_figure_scene",
    "render_object_scene",
]
