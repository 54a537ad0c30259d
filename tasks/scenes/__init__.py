"""The embedded data set: rendered scenes for the three tasks, written in the official on-disk layouts."""

from tasks.scenes.compose import DetectionScene, Factors, FigureScene, ObjectScene, SceneObject
from tasks.scenes.drawing import CLASSES
from tasks.scenes.figure import JOINTS
from tasks.scenes.layouts import Kind, SceneSettings, materialize
from tasks.scenes.render import render_detection_scene, render_figure_scene, render_object_scene

__all__ = [
    "CLASSES",
    "JOINTS",
    "DetectionScene",
    "Factors",
    "FigureScene",
    "Kind",
    "ObjectScene",
    "SceneObject",
    "SceneSettings",
    "materialize",
    "render_detection_scene",
    "render_figure_scene",
    "render_object_scene",
]
