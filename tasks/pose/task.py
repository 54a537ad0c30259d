"""Human pose: one distribution over heatmap cells per joint."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import tasks.models.openmmlab  # noqa: F401 # isort: skip - before mmpose is imported

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from mmpose.evaluation.functional import keypoint_pck_accuracy
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from torch import Tensor

from tasks.base import Ids, Metric, Outputs, Posteriors, TapModel, Task, UnlabeledTask, as_annotations, require
from tasks.datasets.mpii import Person, decoded, load_list
from tasks.datasets.names import MPII_JOINTS, MPII_MIRRORED
from tasks.datasets.scenes import MPII_LAYOUT, materialize
from tasks.images import augment
from tasks.images.pixels import Pixels, on_device
from tasks.models.hourglass import STRIDE, StackedHourglass
from tasks.pose.heatmaps import gaussians, peaks
from tasks.pose.label_noise import mislabeled
from tasks.pose.settings import PoseSettings
from tasks.training.pretraining import pretrained

PRESENCE_FLOOR = 1e-6  # added to every cell, so that a heatmap without a positive cell is uniform
POSE_GROUPS = 8


class PoseTargets(NamedTuple):
    """What the heatmaps are compared with."""

    heatmaps: Float[Tensor, "n j h w"]
    visible: Bool[Tensor, "n j"]


class UnlabeledPose(UnlabeledTask[Tensor, PoseTargets]):
    """Raw output: heatmaps of all stacks (n, stacks, joints, h, w)."""

    def __init__(self, pixels: Pixels, settings: PoseSettings) -> None:
        super().__init__(pixels)
        self._settings = settings

    def posteriors(self, raw: Float[Tensor, "n s j h w"]) -> Posteriors:
        """One row per joint over the cells of the last stack's heatmap; all joints count alike."""
        cells = raw[:, -1].flatten(2)
        if self._settings.posterior == "softmax":
            log_probs = cells.log_softmax(2)
        else:
            presence = cells.clamp(min=0) + PRESENCE_FLOOR
            log_probs = presence.log() - presence.sum(2, keepdim=True).log()
        images, joints = cells.shape[:2]
        weight = cells.new_full((images, joints), 1 / joints)
        context = torch.arange(joints, device=raw.device).expand(images, joints)
        return Posteriors(log_probs, weight, context, grid=(raw.shape[3], raw.shape[4]))

    def losses(self, raw: Float[Tensor, "n s j h w"], targets: PoseTargets) -> Float[Tensor, " n"]:
        """Mean squared error over joints and cells, summed over stacks; a joint that is not visible adds 0."""
        squares = (raw - targets.heatmaps.unsqueeze(1)).square().mean((3, 4))
        return (squares * targets.visible.unsqueeze(1)).mean(2).sum(1)

    def pseudo_targets(self, raw: Float[Tensor, "n s j h w"]) -> PoseTargets:
        """Heatmaps around the peaks of the last stack, every joint visible."""
        places = torch.from_numpy(peaks(raw[:, -1].detach().cpu().numpy())).to(raw)
        return self.rendered(places, torch.ones(places.shape[:2], dtype=torch.bool, device=raw.device))

    def embed(self, outputs: Outputs) -> Float[Tensor, "n d"]:
        """The last stack's map, averaged over places."""
        return outputs.features[-1].mean((2, 3))

    def rendered(self, places: Float[Tensor, "n j 2"], visible: Bool[Tensor, "n j"]) -> PoseTargets:
        """Targets from places in [0, 1] over the frame; a joint outside of it does not count."""
        inside = ((places >= 0) & (places <= 1)).all(2)
        return PoseTargets(gaussians(places, self.size // STRIDE, self._settings.sigma), visible & inside)


class PoseTask(Task[Tensor, PoseTargets]):
    """MPII or data in its form, one person an image, by a stacked hourglass."""

    metric = Metric("PCKh", "0.5, share of joints")
    unlabeled: UnlabeledPose
    settings: PoseSettings

    def __init__(self, settings: PoseSettings, data: Path, cache: Path, device: torch.device) -> None:
        source = settings.data
        root = materialize(MPII_LAYOUT, source.scenes, cache) if source.scenes else data
        pool, test = (
            load_list(
                root / source.images,
                root / file,
                center_shift=source.center_shift,
                need_head=need_head,
                frame=source.frame,
            )
            for file, need_head in ((source.pool, False), (source.test, True))
        )
        twice = {crop.file for crop in pool.crops} & {crop.file for crop in test.crops}
        require(not twice, f"{min(twice, default='')} stands in the pool and in the test file; remove it from one")
        self.settings = settings
        self.pool_size, self.test_size = len(pool.crops), len(test.crops)
        self.annotations = as_annotations(pool.persons + test.persons)
        self.group_names = tuple(f"pose {number + 1}" for number in range(POSE_GROUPS))
        self.fingerprints = {"pool": pool.fingerprint, "test": test.fingerprint}
        pixels = settings.model.pixels
        stored = decoded(pool.crops + test.crops, round(pixels * source.margin), source.margin).to(device)
        self.unlabeled = UnlabeledPose(Pixels(stored, pixels, margin=source.margin), settings)
        self._start: dict[str, Tensor] = {}
        if settings.pretraining:
            before = settings.model_copy(update={**dict(settings.pretraining), "pretraining": None})
            self._start, digest = pretrained(PoseTask(before, data, cache, device), before, cache)
            self.fingerprints["trunk"] = digest

    def build_model(self) -> StackedHourglass:
        """An hourglass, untrained unless the protocol says otherwise."""
        model = StackedHourglass(self.settings.model, len(MPII_JOINTS))
        if self._start:
            model.load_state_dict(self._start)
        return model

    def targets(self, ids: Ids) -> PoseTargets:
        """Heatmaps of the labeled places."""
        return self._rendered(*self._labels(ids))

    def augmented(self, ids: Ids, rng: np.random.Generator) -> tuple[Float[Tensor, "n 3 h w"], PoseTargets]:
        """Random rotation, scale and mirroring; a mirrored left joint is a right one."""
        n, most = len(ids), np.deg2rad(self.settings.rotation_degrees)
        scales = rng.uniform(1 - self.settings.zoom, 1 + self.settings.zoom, n)
        flips = augment.flips(rng, n)
        maps = augment.then(flips, augment.turns(rng.uniform(-most, most, n), scales))
        places, visible = self._labels(ids)
        mirrored = flips[:, 0, 0] < 0
        places, visible = augment.moved(places, maps), visible.copy()
        places[mirrored], visible[mirrored] = places[mirrored][:, MPII_MIRRORED], visible[mirrored][:, MPII_MIRRORED]
        return self.unlabeled.warped(ids, maps), self._rendered(places, visible)

    def groups(self, ids: Ids, reference: Ids) -> Bool[Tensor, "n g"]:
        """The nearest of eight clusters of the reference's poses (k-means over the places of joints)."""
        known = self._shapes(reference)
        clusters = KMeans(min(POSE_GROUPS, len(np.unique(known, axis=0))), random_state=0).fit(known)
        member = torch.zeros(len(ids), POSE_GROUPS, dtype=torch.bool)
        if len(ids):
            member[torch.arange(len(ids)), torch.from_numpy(clusters.predict(self._shapes(ids))).long()] = True
        return member

    def mislabeled(self, ids: Ids, share: float, rng: np.random.Generator) -> NDArray[Any]:
        """A share of the joints wrong: half of them left for right, in pairs, the others displaced."""
        return as_annotations([mislabeled(each, share, rng) for each in self.annotations[ids]])

    def judged(self, model: TapModel, ids: Ids, raw: Tensor) -> Tensor:
        """The heatmaps, averaged with those of the mirrored image where the protocol says so."""
        if not self.settings.flip_test:
            return raw
        mirrored = model(self.unlabeled.images(ids).flip(3)).raw.flip(4)[:, :, list(MPII_MIRRORED)]
        return (raw + mirrored) / 2

    def categories(self, raw: Float[Tensor, "n s j h w"], ids: Ids) -> Int[Tensor, "n j"]:
        """The cell in which a joint lies."""
        side = raw.shape[-1]
        places, visible = self._labels(ids)
        cells = np.floor(places * side).astype(np.int64)
        inside = visible & ((cells >= 0) & (cells < side)).all(2)
        return torch.from_numpy(np.where(inside, cells[..., 1] * side + cells[..., 0], -1)).to(raw.device)

    def predictions(self, raw: Float[Tensor, "n s j h w"]) -> NDArray[Any]:
        """The peak of each joint's heatmap, every joint visible."""
        places = peaks(raw[:, -1].detach().float().cpu().numpy()).astype(np.float32)
        return as_annotations([Person(each, np.ones(len(each), dtype=bool), float("nan")) for each in places])

    def metrics(self, raws: Iterable[Float[Tensor, "_ s j h w"]], ids: Ids) -> dict[str, float]:
        """PCKh: the share of all visible joints that count nearer than half a head size (as mmpose, exactly half is a miss).

        Differs from MPII's evaluation in that a joint beyond the frame is left out, which there is a miss.
        """
        found = np.concatenate([peaks(raw[:, -1].float().cpu().numpy()) for raw in raws])
        places, visible = self._labels(ids)
        heads = np.array([person.head for person in self.annotations[ids]])
        require(
            np.isfinite(heads).all(), "an image to be judged has no head_size or headbox, and PCKh needs one; add it"
        )
        counted = visible.copy()
        counted[:, [joint for joint in range(len(MPII_JOINTS)) if joint not in self.settings.counted_joints]] = False
        norm = np.repeat(heads[:, None], 2, 1)
        per_joint, _, _ = keypoint_pck_accuracy(found, places, counted, np.array(0.5), norm)
        counts = counted.sum(0)
        return {"PCKh": float((per_joint * counts).sum() / max(counts.sum(), 1))}

    def _labels(self, ids: Ids) -> tuple[Float[np.ndarray, "n j 2"], Bool[np.ndarray, "n j"]]:
        persons = self.annotations[ids]
        shape = (len(persons), len(MPII_JOINTS))
        places = np.array([person.places for person in persons]).reshape(*shape, 2)
        return places, np.array([person.visible for person in persons]).reshape(shape)

    def _rendered(self, places: np.ndarray, visible: np.ndarray) -> PoseTargets:
        device = self.unlabeled.device
        return self.unlabeled.rendered(on_device(places, device).float(), on_device(visible, device))

    def _shapes(self, ids: Ids) -> Float[np.ndarray, "n _"]:
        """Places as one vector per person; a joint that is not visible stands at the frame's center."""
        places, visible = self._labels(ids)
        return np.where(visible[..., None], places, 0.5).reshape(len(ids), 2 * len(MPII_JOINTS))
