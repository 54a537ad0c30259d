"""Groups of sections that are summarized together: one kind of task, one regime of training, one metric."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

from leaderboard.schema.upgrades import table_in
from leaderboard.scoring.entries import BASELINE, FEWEST_SEEDS
from leaderboard.scoring.sections import Section

Regime = Literal["from scratch", "frozen", "fine-tuned"]
REGIMES: tuple[Regime, ...] = ("from scratch", "frozen", "fine-tuned")
"""How a model is trained: all of it from random weights, the last layers alone, or all of it from pretrained weights."""
SPANS = ("few", "some", "many")
"""The thirds of a protocol's budget, by the number of labels."""
UNKNOWN_KIND = "other"


class Group(NamedTuple):
    """The sections of one kind of task, regime and metric that answers and ranks are computed from."""

    kind: str
    regime: Regime
    metric: str
    sections: tuple[Section, ...]

    @property
    def title(self) -> str:
        """For instance "detection, fine-tuned"."""
        return f"{self.kind}, {self.regime}"


def kind_of(config: Mapping[str, Any]) -> str:
    """The kind of task that a protocol names."""
    kind = table_in(dict(config), "task").get("kind")
    return kind if isinstance(kind, str) else UNKNOWN_KIND


def regime_of(config: Mapping[str, Any]) -> Regime:
    """How a protocol trains its model, from what it says of the weights.

    A model with `freeze` is frozen; one that names weights, ImageNet's or a pretraining of its own is fine-tuned.
    """
    task = table_in(dict(config), "task")
    model = table_in(task, "model")
    if model.get("freeze") is True:
        return "frozen"
    pretrained = model.get("weights", "none") != "none" or model.get("imagenet") is True
    return "fine-tuned" if pretrained or task.get("pretraining") else "from scratch"


def is_rendered(config: Mapping[str, Any]) -> bool:
    """Whether the images of a protocol are rendered scenes."""
    return bool(table_in(table_in(dict(config), "task"), "data").get("scenes"))


def _answers(section: Section) -> bool:
    """Whether a strategy has enough runs that are paired with one of random for an answer."""
    random = section.areas(BASELINE).keys()
    return any(
        len(entry.areas.keys() & random) >= FEWEST_SEEDS for entry in section.entries if entry.strategy != BASELINE
    )


def groups(sections: Sequence[Section]) -> list[Group]:
    """The groups of the sections that count for answers and ranks, by kind and regime.

    These are the newest versions on the shared track that hold a strategy with enough runs for an answer, or else the newest
    ones with runs of random, or else the newest, without variations of a protocol that is there, too. Rendered scenes count
    only for a kind and regime that has no other data.
    """
    shared = [section for section in sections if section.key.track == "shared"]
    newest: dict[str, int] = {}
    for section in sorted(shared, key=lambda each: (_answers(each), BASELINE in each.by_name, each.key.version)):
        newest[section.key.protocol] = section.key.version
    members: dict[tuple[str, Regime, str], list[Section]] = {}
    for section in shared:
        if section.key.version == newest[section.key.protocol] and section.base not in newest:
            config = section.records[0].config
            key = (kind_of(config), regime_of(config), section.metric_title)
            members.setdefault(key, []).append(section)
    rendered = {section.key for section in shared if is_rendered(section.records[0].config)}
    real = {key[:2] for key, own in members.items() if any(section.key not in rendered for section in own)}
    found = []
    for (kind, regime, metric), own in members.items():
        counted = [section for section in own if section.key not in rendered or (kind, regime) not in real]
        if counted:
            ordered = sorted(counted, key=lambda section: (section.labels[0], section.key))
            found.append(Group(kind, regime, metric, tuple(ordered)))
    return sorted(found, key=lambda group: (group.kind, REGIMES.index(group.regime), group.metric))
