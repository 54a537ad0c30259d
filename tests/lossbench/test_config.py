"""Configurations: all that are committed can be read; what does not fit is refused in one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from sample_configs import SWEEP, TASK, written

from lossbench.config import ConfigError, Protocol, Sweep, validated
from lossbench.config_files import config_files, read_protocol, read_sweep
from lossbench.running.jobs import jobs, strategies_of
from lossbench.submissions.conformance import tiny_protocol
from strategies import STRATEGIES, StrategyError, load_strategy
from strategies.bald import Bald
from tasks.detection.settings import DetectionSettings
from tasks.models.settings import HourglassSettings

CONFIGS = Path(__file__).parents[2] / "configs"
AS_PUBLISHED = ("cifar10", "cifar10-bf16", "cifar10-pal", "cifar10-warm", "voc0712", "mpii")  # papers hold nothing out


@pytest.mark.parametrize("path", config_files(CONFIGS / "tasks"), ids=lambda path: path.stem)
def test_every_committed_protocol_is_read(path: Path) -> None:
    protocol = read_protocol(path)
    assert protocol.name == path.stem
    assert json.loads(protocol.model_dump_json()) == protocol.model_dump(mode="json"), "records hold it as JSON"
    if path.stem not in AS_PUBLISHED:
        assert protocol.task.data.validation > 0, "choices are made on a slice of the pool"


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("sweeps/*.toml")), ids=lambda path: path.stem)
def test_every_committed_sweep_is_read_with_its_protocols(path: Path) -> None:
    sweep, protocols = read_sweep(path)
    assert tuple(each.name for each in protocols) == sweep.protocols
    for strategy in strategies_of(sweep):
        assert load_strategy(strategy, sweep.parameters.get(strategy)).name == strategy
    assert len(set(sweep.seeds)) == len(sweep.seeds)


def test_one_sweep_holds_every_strategy() -> None:
    sweep, _ = read_sweep(CONFIGS / "sweeps/every-strategy.toml")
    assert strategies_of(sweep) == tuple(each.name for each in STRATEGIES)


def test_hyper_parameters_of_a_sweep_reach_its_jobs(tmp_path: Path) -> None:
    sweep = (
        'protocols = ["tiny"]\nstrategies = ["random", "bald"]\nseeds = [0]\nparameters = { bald = { passes = 3 } }\n'
    )
    random, bald = jobs(*read_sweep(written(tmp_path, sweep=sweep)))
    assert bald.strategy() == Bald(passes=3)
    assert random.parameters == "{}"


@pytest.mark.parametrize(
    ("parameters", "fault"),
    [
        ("{ bald = { passes = 1 } }", "bald: hyper-parameter passes: Input should be greater than or equal to 2"),
        ("{ bald = { depth = 1 } }", "bald: hyper-parameter depth: Extra inputs are not permitted"),
    ],
)
def test_a_hyper_parameter_that_does_not_fit_is_refused(tmp_path: Path, parameters: str, fault: str) -> None:
    sweep = f'protocols = ["tiny"]\nstrategies = ["bald"]\nseeds = [0]\nparameters = {parameters}\n'
    (job,) = jobs(*read_sweep(written(tmp_path, sweep=sweep)))
    with pytest.raises(StrategyError, match=fault):
        job.strategy()


def test_a_contrast_names_strategies_of_its_sweep(tmp_path: Path) -> None:
    sweep = 'protocols = ["tiny"]\nstrategies = ["random"]\nseeds = [0]\ncontrasts = [["random", "entropy"]]\n'
    with pytest.raises(ConfigError, match="a contrast with 'entropy', which is not one of the sweep's strategies"):
        read_sweep(written(tmp_path, sweep=sweep))


def test_hyper_parameters_of_a_strategy_that_is_not_run_are_refused(tmp_path: Path) -> None:
    sweep = 'protocols = ["tiny"]\nstrategies = ["random"]\nseeds = [0]\nparameters = { bald = { passes = 3 } }\n'
    with pytest.raises(ConfigError, match="parameters for 'bald', which is not one of the sweep's strategies"):
        read_sweep(written(tmp_path, sweep=sweep))


def test_a_budget_says_how_many_are_labeled_in_each_round(tmp_path: Path) -> None:
    written(tmp_path)
    assert read_protocol(tmp_path / "tasks/tiny.toml").budget.labeled == (12, 18, 24)


def test_a_protocol_alone_is_a_sweep_by_random(tmp_path: Path) -> None:
    written(tmp_path)
    sweep, (protocol,) = read_sweep(tmp_path / "tasks/tiny.toml")
    assert sweep == Sweep(protocols=("tiny",), strategies=("random",), seeds=(0,))
    assert protocol == read_protocol(tmp_path / "tasks/tiny.toml")


TASK_FAULTS = [
    (
        "epochs = 1",
        "epochs = 1, epoch = 2",
        r"task\.recipe\.epoch: no such setting; did you mean epochs or .* \(given: 2\)",
    ),
    ("epochs = 1", 'epochs = "ten"', r"task\.recipe\.epochs: .* valid integer.* \(given: 'ten'\)"),
    ("epochs = 1", "epochs = 0", r"task\.recipe\.epochs: .* greater than or equal to 1"),
    ("epochs = 1, ", "", r"task\.recipe\.epochs: Field required"),
    ('"adamw"', '"adam"', r"recipe\.optimizer: Input should be 'sgd', 'adamw' or 'rmsprop'"),
    (
        '"classification"',
        '"captioning"',
        r"task: .*no kind of task 'captioning'; there are 'classification', 'detection', 'pose', 'segmentation', or load another",
    ),
    ('name = "tiny"', 'name = "other"', r"the name 'other' differs from the file's name 'tiny'"),
    ('name = "tiny"', 'name = "../tiny"', r"name: String should match pattern"),
    ("subset = 30", "subset = 5", r"a subset of 5 candidates cannot give 6 picks; raise subset or lower step"),
    ("pool = 60", "pool = 2", r"data\.scenes\.pool: .* greater than or equal to 5"),
    ("learning_rate = 1e-3", "learning_rate = 0", r"recipe\.learning_rate: .* greater than 0"),
    ("version = 1", "version = ", r"is not TOML: Invalid value \(at line 3"),
]
SWEEP_FAULTS: list[tuple[str, str, str]] = [
    (
        'protocols = ["tiny"]',
        'protocols = ["tiny", "none"]',
        r"no protocol none: neither none\.toml beside it or in \.\./tasks, nor one that `lossbench list protocols` shows",
    ),
    ('protocols = ["tiny"]', "protocols = []", r"protocols: Tuple should have at least 1 item"),
    ("seeds = [0, 1]", 'seeds = ["zero"]', r"seeds\.0: Input should be a valid integer"),
    ("seeds = [0, 1]", "seeds = [0, -1]", r"seeds\.1: Input should be greater than or equal to 0"),
    ("seeds = [0, 1]", "seeds = [0]\nsede = 1", r"sede: no such setting; did you mean seeds\? \(given: 1\)"),
    ("seeds = [0, 1]", 'seeds = [0]\ntracks = ["wild"]', r"tracks\.0: Input should be 'shared' or 'native'"),
    ("seeds = [0, 1]", "seeds = [0, 1", r"is not TOML"),
]


@pytest.mark.parametrize(("old", "new", "reason"), TASK_FAULTS, ids=[each[1] or "missing" for each in TASK_FAULTS])
def test_a_protocol_that_does_not_fit_is_refused(old: str, new: str, reason: str, tmp_path: Path) -> None:
    assert old in TASK
    sweep = written(tmp_path, task=TASK.replace(old, new))
    with pytest.raises(ConfigError, match=reason) as caught:
        read_sweep(sweep)
    assert str(caught.value).startswith(str(tmp_path / "tasks/tiny.toml"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("old", "new", "reason"), SWEEP_FAULTS, ids=[each[1] for each in SWEEP_FAULTS])
def test_a_sweep_that_does_not_fit_is_refused(old: str, new: str, reason: str, tmp_path: Path) -> None:
    assert old in SWEEP
    sweep = written(tmp_path, sweep=SWEEP.replace(old, new))
    (tmp_path / "tasks/other.toml").write_text(TASK, encoding="utf-8")
    with pytest.raises(ConfigError, match=reason) as caught:
        read_sweep(sweep)
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_refused_with_what_lies_beside_it(tmp_path: Path) -> None:
    written(tmp_path)
    with pytest.raises(ConfigError, match=r"no configuration .*smal\.toml; beside it there are tiny$"):
        read_sweep(tmp_path / "tasks/smal.toml")
    with pytest.raises(ConfigError, match=r"no configuration .*smal\.toml$"):
        read_sweep(tmp_path / "nowhere/smal.toml")


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tiny.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match=r"tiny\.toml is not TOML: .*utf-8"):
        read_protocol(tmp_path / "tiny.toml")


def test_a_long_value_is_not_quoted_whole() -> None:
    fields: dict[str, Any] = {"protocols": ("a",), "strategies": ("random",), "seeds": "x" * 1000}
    with pytest.raises(ConfigError, match=r"^here: seeds: ") as caught:
        validated(Sweep, fields, "here")
    assert len(str(caught.value)) < 200


def test_a_pose_frame_has_whole_edges() -> None:
    protocol = tiny_protocol("pose").model_dump()
    protocol["task"]["data"]["margin"] = 1.3
    protocol["task"]["model"]["pixels"] = 64
    with pytest.raises(ValueError, match="which is odd"):
        Protocol.model_validate(protocol)


def test_a_map_that_cannot_be_halved_so_often_is_refused() -> None:
    assert HourglassSettings(pixels=64, depth=4).pixels == 64
    with pytest.raises(ValueError, match="a map of 15, which cannot be halved 4 times"):
        HourglassSettings(pixels=60, depth=4)


@pytest.mark.parametrize(
    ("part", "name", "value"), [("pretraining", "width", 8), ("pretraining", "stem", "half"), ("model", "width", 8)]
)
def test_a_trunk_starts_from_its_like(part: str, name: str, value: object) -> None:
    fields = read_protocol(CONFIGS / "tasks/mini/voc2007-mini.toml").task.model_dump()
    (fields["pretraining"]["model"] if part == "pretraining" else fields["model"])[name] = value
    with pytest.raises(ValueError, match="pretraining starts the trunk of an SSD on resnet18, with its width"):
        DetectionSettings.model_validate(fields)


def test_a_seed_given_twice_is_run_once() -> None:
    sweep = Sweep(protocols=("tiny-pose",), strategies=("random",), seeds=(3, 3))
    assert [job.seed for job in jobs(sweep, (tiny_protocol("pose"),))] == [3]


def test_a_relative_path_finds_the_protocols_that_an_absolute_one_finds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks/tiny.toml").write_text(TASK, encoding="utf-8")
    (tmp_path / "tasks/other.toml").write_text('name = "other"\nbase = "tiny"\n', encoding="utf-8")
    (tmp_path / "mine").mkdir()
    sweep = tmp_path / "mine/sweep.toml"
    sweep.write_text('protocols = ["tiny", "other"]\nstrategies = ["random"]\nseeds = [0]\n', encoding="utf-8")
    _, absolute = read_sweep(sweep)
    monkeypatch.chdir(sweep.parent)
    assert read_sweep("sweep.toml")[1] == absolute
    monkeypatch.chdir(tmp_path / "tasks")
    assert read_protocol("other.toml") == absolute[1]


def test_a_missing_file_lists_its_own_folder_alone(tmp_path: Path) -> None:
    (tmp_path / "deep/er").mkdir(parents=True)
    (tmp_path / "deep/er/far.toml").write_text(TASK, encoding="utf-8")
    (tmp_path / "near.toml").write_text(TASK, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"no configuration .*/nothing\.toml; beside it there are near$"):
        read_sweep(tmp_path / "nothing.toml")


def test_a_sweep_names_protocols_beside_it_and_of_lossbench(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('protocols = ["tiny", "scenes-pose"]\nstrategies = ["random"]\nseeds = [0]\n')
    (tmp_path / "tiny.toml").write_text(TASK)
    _, protocols = read_sweep(tmp_path / "mine.toml")
    assert [protocol.name for protocol in protocols] == ["tiny", "scenes-pose"]
