"""Human pose estimation: one distribution over heatmap cells per joint."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from torch import Tensor

from tasks.base import Ids, Metric, Outputs, Posteriors, TapModel, UnlabeledTask, as_annotations
from tasks.datasets.persons import Person
from tasks.errors import advising, require
from tasks.images import augment
from tasks.images.pixels import Pixels, on_device
from tasks.images.squares import decoded
from tasks.images.store import Store
from tasks.models.factories.poses import PoseFactory
from tasks.models.tapped import MAPS, as_map
from tasks.pose.heatmaps import peaks, positive
from tasks.pose.label_noise import mislabeled
from tasks.pose.losses import PoseTargets, heatmap_losses, pose_targets
from tasks.pose.metrics import BOX_SHARE, pck, pckh
from tasks.pose.settings import MPII_COUNTED, PoseSettings
from tasks.pose.sources import source_of
from tasks.training.device.task import DeviceTask, Drawn
from tasks.training.pretraining import pretrained

MIN_PROBABILITY = 1e-6  # added to every cell before normalizing, so that a heatmap without a positive cell is uniform
POSE_GROUPS = 8
BOX_METRIC = Metric("PCK", f"{BOX_SHARE} of the box, share of joints")


class UnlabeledPose(UnlabeledTask[Tensor, PoseTargets]):
    """Raw output: heatmaps of all stacks (n, stacks, joints, h, w)."""

    def __init__(self, pixels: Pixels, store: Store | None, settings: PoseSettings, side: int) -> None:
        super().__init__(pixels, store)
        self._settings, self._side = settings, side

    def mirrored(self, ids: Ids) -> Float[Tensor, "n ..."]:
        """The model's input for the mirrored images, at test time."""
        if self._store is None:
            return self.images(ids).flip(3)
        return self._store.rows(np.asarray(ids) % len(self._pixels), 1).to(self.device)

    def posteriors(self, raw: Float[Tensor, "n s j h w"]) -> Posteriors:
        """One row per joint, over the cells of the last stack's heatmap; all joints have the same weight."""
        cells = raw[:, -1].flatten(2)
        if self._settings.posterior == "softmax":
            log_probs = cells.log_softmax(2)
        else:
            positive = cells.clamp(min=0) + MIN_PROBABILITY
            log_probs = positive.log() - positive.sum(2, keepdim=True).log()
        images, joints = cells.shape[:2]
        weight = cells.new_full((images, joints), 1 / joints)
        context = torch.arange(joints, device=raw.device).expand(images, joints)
        return Posteriors(log_probs, weight, context, grid=(raw.shape[3], raw.shape[4]))

    def losses(self, raw: Float[Tensor, "n s j h w"], targets: PoseTargets) -> Float[Tensor, " n"]:
        """Mean squared error over joints and cells, summed over stacks; a joint that is not visible adds 0."""
        return heatmap_losses(raw, targets)

    def pseudo_targets(self, raw: Float[Tensor, "n s j h w"]) -> PoseTargets:
        """Heatmaps around the peaks of the last stack, with every joint visible."""
        joints = torch.from_numpy(peaks(positive(raw[:, -1].detach().cpu().numpy()))).to(raw)
        return self.heatmap_targets(joints, torch.ones(joints.shape[:2], dtype=torch.bool, device=raw.device))

    def embed(self, outputs: Outputs) -> Float[Tensor, "n d"]:
        """The spatial mean of the last stack's feature map."""
        features = outputs.features[-1]
        return features.flatten(2).mean(2) if features.ndim >= MAPS else as_map(features).mean((2, 3))

    def heatmap_targets(self, joints: Float[Tensor, "n j 2"], visible: Bool[Tensor, "n j"]) -> PoseTargets:
        """Heatmaps of joints, whose x and y are in [0, 1] over the frame; see `pose_targets`."""
        return pose_targets(joints, visible, self._side, self._settings.sigma)


class PoseTask(DeviceTask[Tensor, PoseTargets]):
    """MPII, COCO, or data in their forms: one person per image."""

    metric = Metric("PCKh", "0.5, share of joints")
    unlabeled: UnlabeledPose
    settings: PoseSettings

    def __init__(self, settings: PoseSettings, data: Path, cache: Path, device: torch.device) -> None:
        source, pixels = settings.data, settings.model.pixels
        pool, test, advice = source_of(source, data, cache)
        with advising(advice):
            crops = pool.crops + test.crops
            boxes = [crop.box(source.margin) for crop in crops]
            files, side = [crop.file for crop in crops], round(pixels * source.margin)
            stored = decoded(files, side, cache, boxes, keep=source.read_again)
        self.settings, self.skeleton = settings, pool.skeleton
        self._counted = self._counted_joints()
        if settings.normalized_by == "box":
            self.metric = BOX_METRIC
        self.pool_size, self.test_size = len(pool.crops), len(test.crops)
        self.annotations = as_annotations(pool.persons + test.persons)
        self.group_names = tuple(f"pose {number + 1}" for number in range(POSE_GROUPS))
        self._models = PoseFactory(settings.model, len(self.skeleton.joints))
        self.fingerprints = {"pool": pool.fingerprint, "test": test.fingerprint, **self._models.fingerprints}
        images = Pixels(stored.to(device), pixels, self._models.colors, source.margin)
        self.unlabeled = UnlabeledPose(images, self._models.freeze(images, cache), settings, self._models.side)
        self._pretrained_weights: dict[str, Tensor] = {}
        if settings.pretraining:
            other = settings.model_copy(update={**dict(settings.pretraining), "pretraining": None})
            others = PoseTask(other, data, cache, device)
            same = others.skeleton.joints == self.skeleton.joints
            require(same, "the data of task.pretraining has other joints", "use data with the same joints")
            self._pretrained_weights, digest = pretrained(others, other, cache)
            self.fingerprints["trunk"] = digest

    def build_model(self) -> TapModel:
        """The protocol's model, with random weights, those that its table names, or those of the protocol's pretraining."""
        model = self._models.build()
        if self._pretrained_weights:
            model.load_state_dict(self._pretrained_weights)
        return model

    def pretrained_model(self) -> TapModel:
        """The trunk with the protocol's weights, and heatmaps that are not trained."""
        pretrained = self.build_model() if self._pretrained_weights else self._models.pretrained()
        return pretrained or super().pretrained_model()

    def targets(self, ids: Ids) -> PoseTargets:
        """Heatmaps of the annotated joints."""
        return self._heatmap_targets(*self._labels(ids))

    def drawn(self, ids: Ids, rng: np.random.Generator, *, padded: bool = False) -> Drawn:  # noqa: ARG002
        """Random rotation, scale and horizontal flips; of a frozen trunk, flips alone where they are stored.

        Flipping exchanges the left joints with the right ones.
        """
        n, most = len(ids), np.deg2rad(self.settings.rotation_degrees)
        if not self.unlabeled.reads_images:
            views = rng.integers(0, self.settings.stored_views, n)
            return ids, views, *self._transformed(ids, augment.mirrored(views == 1), views == 1)
        scales = rng.uniform(1 - self.settings.zoom, 1 + self.settings.zoom, n)
        flips = augment.flips(rng, n)
        transforms = augment.compose(flips, augment.rotations(rng.uniform(-most, most, n), scales))
        return ids, transforms, *self._transformed(ids, transforms, flips[:, 0, 0] < 0)

    def batch(self, drawn: Drawn) -> tuple[Float[Tensor, "n ..."], PoseTargets]:
        """The augmented images, or the rows that a frozen trunk gave, and heatmaps of their joints."""
        ids, changes, joints, visible = drawn
        return self.unlabeled.changed(ids, changes), self._heatmap_targets(joints, visible)

    def groups(self, ids: Ids, reference: Ids) -> Bool[Tensor, "n g"]:
        """The nearest of eight pose clusters (k-means over the joints of the reference images); none if there is no reference."""
        member = torch.zeros(len(ids), POSE_GROUPS, dtype=torch.bool)
        if not len(reference):
            return member
        fitted_on = self._pose_vectors(reference)
        clusters = KMeans(min(POSE_GROUPS, len(np.unique(fitted_on, axis=0))), random_state=0).fit(fitted_on)
        if len(ids):
            member[torch.arange(len(ids)), torch.from_numpy(clusters.predict(self._pose_vectors(ids))).long()] = True
        return member

    def label_counts(self, ids: Ids) -> dict[str, int]:
        """For each joint the number of these persons who show it."""
        visible = self._labels(ids)[1]
        return dict(zip(self.skeleton.joints, visible.sum(0).tolist(), strict=True))

    def mislabeled(self, ids: Ids, share: float, rng: np.random.Generator) -> NDArray[Any]:
        """A share of the joints wrong: half of them swapped between left and right, in pairs, the others displaced."""
        return as_annotations([mislabeled(person, share, rng) for person in self.annotations[ids]])

    def judged(self, model: TapModel, ids: Ids, raw: Tensor) -> Tensor:
        """The heatmaps, averaged with those of the flipped image if the protocol's `flip_test` is on."""
        if not self.settings.flip_test:
            return raw
        flipped = model(self.unlabeled.mirrored(ids)).raw.flip(4)[:, :, list(self.skeleton.mirrored)]
        return (raw + flipped) / 2

    def categories(self, raw: Float[Tensor, "n s j h w"], ids: Ids) -> Int[Tensor, "n j"]:
        """The heatmap cell of each joint; -1 for a joint that is not visible."""
        side = raw.shape[-1]
        joints, visible = self._labels(ids)
        cells = np.floor(joints * side).astype(np.int64)
        inside = visible & ((cells >= 0) & (cells < side)).all(2)
        return torch.from_numpy(np.where(inside, cells[..., 1] * side + cells[..., 0], -1)).to(raw.device)

    def predictions(self, raw: Float[Tensor, "n s j h w"]) -> NDArray[Any]:
        """The peaks of the last stack's heatmaps, with every joint visible."""
        persons = peaks(raw[:, -1].detach().float().cpu().numpy()).astype(np.float32)
        visible = np.ones(len(self.skeleton.joints), dtype=bool)
        return as_annotations([Person(joints, visible, float("nan"), self.skeleton) for joints in persons])

    def metrics(self, raws: Iterable[Float[Tensor, "_ s j h w"]], ids: Ids) -> dict[str, float]:
        """PCKh or PCK over the joints that the protocol counts."""
        predicted = np.concatenate([peaks(raw[:, -1].float().cpu().numpy()) for raw in raws])
        joints, visible = self._labels(ids)
        if self.settings.normalized_by == "box":
            boxes = np.array([person.box_size for person in self.annotations[ids]])
            return {BOX_METRIC.name: pck(predicted, joints, visible, boxes, self._counted)}
        heads = np.array([person.head_size for person in self.annotations[ids]])
        require(
            (heads > 0).all(), "an evaluated image has no head_size or headbox above 0, and PCKh needs one", "add it"
        )
        return {"PCKh": pckh(predicted, joints, visible, heads, self._counted)}

    def _counted_joints(self) -> tuple[int, ...]:
        """The joints over which the metric is measured."""
        counted = self.settings.counted_joints
        if self.settings.data.has_boxes and counted == MPII_COUNTED:
            return tuple(range(len(self.skeleton.joints)))
        self.skeleton.require_joints("counted_joints", counted)
        return counted

    def _labels(self, ids: Ids) -> tuple[Float[np.ndarray, "n j 2"], Bool[np.ndarray, "n j"]]:
        """The joints and their visibility."""
        persons = self.annotations[ids]
        shape = (len(persons), len(self.skeleton.joints))
        joints = np.array([person.joints for person in persons]).reshape(*shape, 2)
        return joints, np.array([person.visible for person in persons], dtype=bool).reshape(shape)

    def _transformed(
        self, ids: Ids, transforms: augment.Transforms, flipped: Bool[np.ndarray, " n"]
    ) -> tuple[Float[np.ndarray, "n j 2"], Bool[np.ndarray, "n j"]]:
        """The joints under a transform per image, and their visibility; `flipped` says which transforms mirror."""
        joints, visible = self._labels(ids)
        joints, visible = augment.transform_points(joints, transforms), visible.copy()
        mirrored = self.skeleton.mirrored
        joints[flipped], visible[flipped] = joints[flipped][:, mirrored], visible[flipped][:, mirrored]
        return joints, visible

    def _heatmap_targets(self, joints: np.ndarray | Tensor, visible: np.ndarray | Tensor) -> PoseTargets:
        device = self.unlabeled.device
        return self.unlabeled.heatmap_targets(on_device(joints, device).float(), on_device(visible, device))

    def _pose_vectors(self, ids: Ids) -> Float[np.ndarray, "n _"]:
        """The joints as one vector per person; a joint that is not visible is put at the frame's center."""
        joints, visible = self._labels(ids)
        return np.where(visible[..., None], joints, 0.5).reshape(len(ids), 2 * len(self.skeleton.joints))
