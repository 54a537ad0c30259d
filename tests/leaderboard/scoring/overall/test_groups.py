"""Groups: which sections count for answers and ranks, and how their models are trained."""

from __future__ import annotations

from typing import Any

import pytest
from fake_records import ACCURACY, make_record

from leaderboard.scoring.overall.groups import groups, is_rendered, kind_of, regime_of
from leaderboard.scoring.sections import sections
from lossbench.config_files import read_protocol


@pytest.mark.parametrize(
    ("name", "kind", "regime"),
    [
        ("cifar10-mini", "classification", "from scratch"),
        ("cifar10-frozen-low", "classification", "frozen"),
        ("voc2007-mini", "detection", "fine-tuned"),
        ("voc0712", "detection", "fine-tuned"),
        ("voc2007-frozen", "detection", "frozen"),
        ("mpii", "pose", "from scratch"),
        ("lspet-mini", "pose", "fine-tuned"),
        ("camvid-mini", "segmentation", "from scratch"),
        ("cityscapes", "segmentation", "fine-tuned"),
    ],
)
def test_the_regime_of_a_shipped_protocol(name: str, kind: str, regime: str) -> None:
    config = read_protocol(name).model_dump(mode="json")
    assert (kind_of(config), regime_of(config), is_rendered(config)) == (kind, regime, False)


def config(kind: str = "detection", *, scenes: bool = False, **model: Any) -> dict[str, Any]:
    return {"task": {"kind": kind, "model": model, "data": {"scenes": {"seed": 1} if scenes else None}}}


@pytest.mark.parametrize("broken", [{}, {"task": 1}, {"task": {"kind": 3, "model": [], "data": "x"}}], ids=str)
def test_a_config_without_a_task_is_of_no_kind(broken: dict[str, Any]) -> None:
    assert (kind_of(broken), regime_of(broken), is_rendered(broken)) == ("other", "from scratch", False)


def test_a_variation_of_a_protocol_that_is_not_there_counts_itself() -> None:
    """As on the page of the quickstart, or of own data on a shipped protocol."""
    alone = [make_record(protocol="shapes-mini-noise", config=config() | {"base": "shapes-mini"})]
    for records in (alone, [*alone, make_record(protocol="elsewhere", config=config())]):
        counted = {section.key.protocol for group in groups(sections(records)) for section in group.sections}
        assert counted == {record.protocol for record in records}


def test_a_group_is_a_kind_and_a_regime() -> None:
    records = [
        make_record(protocol="plain", config=config()),
        make_record(protocol="frozen", config=config(freeze=True, weights="hub")),
        make_record(protocol="tuned", config=config(weights="hub")),
        make_record(protocol="other", config=config("pose")),
    ]
    found = [(group.title, [section.key.protocol for section in group.sections]) for group in groups(sections(records))]
    assert found == [
        ("detection, from scratch", ["plain"]),
        ("detection, frozen", ["frozen"]),
        ("detection, fine-tuned", ["tuned"]),
        ("pose, from scratch", ["other"]),
    ]


def test_variations_old_versions_and_the_native_track_do_not_count() -> None:
    records = [
        make_record(config=config(), version=2),
        make_record(config=config(), version=1),
        make_record(config=config(), version=2, track="native"),
        make_record(protocol="shapes-mini-noise", config=config() | {"base": "shapes-mini"}),
    ]
    (group,) = groups(sections(records))
    assert [(each.key.protocol, each.key.version, each.key.track) for each in group.sections] == [
        ("shapes-mini", 2, "shared")
    ]


def test_a_new_version_counts_once_it_has_runs_for_an_answer() -> None:
    known = [make_record(config=config(), strategy=name, seed=seed) for name in ("random", "ours") for seed in range(5)]
    newer = [record.model_copy(update={"version": 2}) for record in known]
    lone = make_record(config=config(), version=9, strategy="theirs")
    cases = [
        ([*known, lone], 1),
        ([*known, *newer, lone], 2),
        ([*known, *newer[:-1]], 1),
        ([known[0], lone], 1),
        ([lone], 9),
    ]
    for records, counted in cases:
        (group,) = groups(sections(records))
        assert [section.key.version for section in group.sections] == [counted]


def test_a_version_on_the_native_track_alone_hides_no_older_one() -> None:
    records = [make_record(config=config(), version=1), make_record(config=config(), version=2, track="native")]
    (group,) = groups(sections(records))
    assert [each.key.version for each in group.sections] == [1]


def test_rendered_scenes_do_not_count_beside_real_data_of_another_metric() -> None:
    error = ACCURACY.model_copy(update={"name": "error"})
    scenes = make_record(protocol="scenes", config=config(scenes=True), metric=error)
    (group,) = groups(sections([scenes, make_record(protocol="photos", config=config())]))
    assert [section.key.protocol for section in group.sections] == ["photos"]


def test_rendered_scenes_count_only_where_there_are_no_other_data() -> None:
    scenes = make_record(protocol="scenes", config=config(scenes=True))
    real = make_record(protocol="photos", config=config())
    for records, expected in (([scenes], ["scenes"]), ([scenes, real], ["photos"])):
        (group,) = groups(sections(records))
        assert [section.key.protocol for section in group.sections] == expected
