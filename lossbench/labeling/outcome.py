"""What a labeling round found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from lossbench.labeling.plan import RoundSettings
from lossbench.words import first_few
from tasks.datasets.tools.annotated import AnnotatedImage
from tasks.images.files import ImageFile

MOST_LEFT_OUT = 10
"""Near-duplicates of a pick that tables and pages name."""


class Pick(NamedTuple):
    """An image to label next."""

    file: str
    """Path from the folder of images or shards."""
    path: ImageFile
    rank: int
    """From 1."""
    score: float
    """The strategy's; NaN where it has none."""
    predicted_loss: float
    """lossnet's; NaN in a first round. The next two are NaN and empty there, too."""
    margin: float
    """Between the two likeliest classes, averaged over the rows of the prediction."""
    nearest_labeled: str
    """The labeled image whose embedding is most alike."""
    similarity: float
    """Cosine of the two embeddings."""
    left_out: tuple[str, ...]
    """Near-duplicates of it, which were no candidates."""
    prediction: AnnotatedImage
    """What the model sees in it; empty in a first round."""

    @property
    def shown_left_out(self) -> list[str]:
        """The first of its near-duplicates, and how many more there are."""
        return first_few(self.left_out, MOST_LEFT_OUT)


@dataclass(frozen=True)
class Outcome:
    """What a round found."""

    settings: RoundSettings
    class_names: tuple[str, ...]
    picks: tuple[Pick, ...]
    images: int
    """In the folder or in the shards."""
    trained_on: int
    held_out: int
    """Labeled images that were not trained on."""
    tested: int
    """Held-out images without a near-duplicate among those trained on."""
    labels: dict[str, int]
    """Of each class in all labeled images, the most frequent first."""
    set_aside: int
    """Labeled images that teach nothing, such as those without a class; they are not picked again."""
    duplicates: int
    """Unlabeled images that were left out as near-duplicates of others or of labeled ones."""
    metrics: dict[str, float]
    """On the `tested` images; empty where there are none."""
    pool_classes: dict[str, float]
    """Share of each class among the labels predicted in unlabeled images; empty in a first round."""
    pick_classes: dict[str, float]
    """The same of the picks."""
