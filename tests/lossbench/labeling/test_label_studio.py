"""A round trip through a real Label Studio: tasks imported, annotated through its API, exported, and picked from again."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from photo_folders import CLASSES, SMALL_DETECTOR, SMALL_MODEL, SMALL_POSE, SMALL_SEGMENTER, box_of, photographs

from lossbench.files import parsed_toml
from lossbench.labeling.plan import Request, plan_round
from lossbench.labeling.round import LabelingRound
from lossbench.labeling.writing import Addresses, write_round
from tasks.datasets.masks import VOID, nearest
from tasks.datasets.tools.label_studio.brush import packed

pytestmark = pytest.mark.slow
TOKEN = "a" * 40
PHOTOS, BUDGET, SKIPPED = 40, 20, 3
SIDE = 40
"""Of a photograph, in pixels."""
SMALL = {
    "classification": SMALL_MODEL, "detection": SMALL_DETECTOR, "pose": SMALL_POSE, "segmentation": SMALL_SEGMENTER,
}  # fmt: skip
START_SECONDS, POLL_SECONDS = 400, 2


def installed(folder: Path) -> str:
    """The command `label-studio`: that of the variable LABEL_STUDIO, or of a new environment."""
    if given := os.environ.get("LABEL_STUDIO"):
        return given
    uv = shutil.which("uv")
    if uv is None:
        pytest.skip("needs uv, or the path of label-studio in LABEL_STUDIO")
    quiet = {"check": True, "capture_output": True, "cwd": folder.parent}  # not here, where this project's pins hold
    target = ["--python", str(folder / "bin/python")]
    try:
        subprocess.run([uv, "venv", "--python", sys.executable, str(folder)], **quiet)
        subprocess.run([uv, "pip", "install", *target, "label-studio==1.23.2"], **quiet)
    except subprocess.CalledProcessError as error:
        pytest.skip(f"Label Studio cannot be installed here: {error.stderr.decode(errors='replace').strip()[-300:]}")
    return str(folder / "bin/label-studio")


class Server:
    """A Label Studio on this machine."""

    def __init__(self, port: int) -> None:
        self.address = f"http://127.0.0.1:{port}"

    def raw(self, method: str, path: str, content: object = None) -> bytes:
        headers = {"Authorization": f"Token {TOKEN}", "Content-Type": "application/json"}
        data = None if content is None else json.dumps(content).encode()
        request = urllib.request.Request(self.address + path, data, headers, method=method)
        with urllib.request.urlopen(request, timeout=120) as answer:
            return answer.read()

    def call(self, method: str, path: str, content: object = None) -> Any:
        return json.loads(self.raw(method, path, content))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("label-studio")
    command = installed(folder / "environment")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = {
        "LABEL_STUDIO_BASE_DATA_DIR": str(folder / "data"),
        "LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN": "true",
        "COLLECT_ANALYTICS": "false",
        "DJANGO_DB": "sqlite",
    }
    account = ["--username", "a@b.example", "--password", "secret-word-1", "--user-token", TOKEN]
    with (folder / "log.txt").open("wb") as log:
        process = subprocess.Popen(
            [command, "start", "--no-browser", "--port", str(port), "--internal-host", "127.0.0.1", *account],
            env={**os.environ, **settings}, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    found = Server(port)
    try:
        for _ in range(START_SECONDS // POLL_SECONDS):
            try:
                found.call("GET", "/api/projects/")
                break
            except (urllib.error.URLError, ConnectionError, json.JSONDecodeError):
                assert process.poll() is None, (folder / "log.txt").read_text(encoding="utf-8", errors="replace")
                time.sleep(POLL_SECONDS)
        yield found
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(60)


def answer(kind: str, name: str) -> list[dict[str, Any]]:
    """What an annotator marks in an image."""
    number = int(name[:3])
    label = CLASSES[number % 2]
    if kind == "classification":
        return [{"from_name": "choices", "to_name": "image", "type": "choices", "value": {"choices": [label]}}]
    left, top, right, bottom = box_of(number)
    common = {"to_name": "image", "original_width": SIDE, "original_height": SIDE, "image_rotation": 0}
    if kind == "pose":
        points = {CLASSES[0]: (left, top), CLASSES[1]: (right, bottom)}
        return [
            {**common, "from_name": "points", "type": "keypointlabels", "value": {
                "x": 100 * x, "y": 100 * y, "width": 1, "keypointlabels": [joint],
            }}
            for joint, (x, y) in points.items()
        ]  # fmt: skip
    if kind == "segmentation":
        value = {"format": "rle", "rle": packed(painted(number)), "brushlabels": [label]}
        return [{**common, "from_name": "strokes", "type": "brushlabels", "value": value}]
    sides = {"x": 100 * left, "y": 100 * top, "width": 100 * (right - left), "height": 100 * (bottom - top)}
    value = {**sides, "rotation": 0, "rectanglelabels": [label]}
    return [{**common, "from_name": "boxes", "type": "rectanglelabels", "value": value}]


def painted(number: int) -> np.ndarray:
    """The pixels of the object's box."""
    left, top, right, bottom = (round(SIDE * place) for place in box_of(number))
    pixels = np.zeros((SIDE, SIDE), dtype=bool)
    pixels[top:bottom, left:right] = True
    return pixels


def check(kind: str, number: int, annotation: Any, names: tuple[str, ...]) -> None:
    """Whether a label that was read back is what was marked."""
    box = box_of(number)
    if kind == "classification":
        assert names[annotation] == CLASSES[number % 2]
    elif kind == "detection":
        assert annotation.boxes[0].tolist() == pytest.approx(box, abs=0.001)
        assert names[annotation.labels[0]] == CLASSES[number % 2]
    elif kind == "pose":
        assert annotation.joints.ravel().tolist() == pytest.approx(box, abs=0.001)
    else:
        shown = nearest(painted(number), *annotation.shape)
        assert (annotation[shown] == names.index(CLASSES[number % 2])).all()
        assert (annotation[~shown] == VOID).all()


@pytest.mark.parametrize(("kind", "settings"), SMALL.items(), ids=SMALL)
def test_the_next_round_is_picked_from_an_export(
    kind: str, settings: str, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photographs(tmp_path / "photos", PHOTOS)
    monkeypatch.chdir(tmp_path)
    table = parsed_toml(settings.encode()) | {"budget": BUDGET}

    def picked(strategy: str, labels: tuple[str, ...], out: str) -> LabelingRound:
        plan = plan_round(Request("photos", labels, kind, CLASSES, {**table, "strategy": strategy}))
        one = LabelingRound(plan, Path("cache"), torch.device("cpu"))
        write_round(one.run(), one.shape, Path(out), Addresses("photos/"))
        return one

    picked("random", (), "round-1")
    config = Path("round-1/label_studio.xml").read_text(encoding="utf-8")
    project = server.call("POST", "/api/projects/", {"title": kind, "label_config": config})["id"]
    tasks = json.loads(Path("round-1/label_studio.json").read_text(encoding="utf-8"))
    counts = server.call("POST", f"/api/projects/{project}/import", tasks)
    assert (counts["task_count"], counts["prediction_count"]) == (BUDGET, BUDGET)
    for number, task in enumerate(server.call("GET", f"/api/tasks?project={project}&page_size=100")["tasks"]):
        mark = {"result": [], "was_cancelled": True}
        if number >= SKIPPED:
            mark = {"result": answer(kind, task["data"]["file"])}
        server.call("POST", f"/api/tasks/{task['id']}/annotations/", mark)
    found = []
    for form in ("JSON", "JSON_MIN"):
        Path(f"{form}.json").write_bytes(server.raw("GET", f"/api/projects/{project}/export?exportType={form}"))
        second = picked("margin", (f"{form}.json",), f"round-2-{form}")
        labeled = len(second.division.training) + len(second.division.held_out)
        assert labeled == BUDGET - SKIPPED
        found.append(Path(f"round-2-{form}/picks.csv").read_text(encoding="utf-8"))
    assert found[0] == found[1]
    for image in np.concatenate([second.division.training, second.division.held_out]):
        check(kind, int(second.found.names[image][:3]), second.task.annotations[image], second.found.class_names)
