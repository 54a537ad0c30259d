"""Records that are there already: a sweep goes on from them, or refuses those that were made in another way."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from sample_configs import TASK, written
from sweeps import SHORT, Heard, planned, run, timeless

from leaderboard.schema.records import RecordError, read_record
from lossbench.config import ConfigError
from lossbench.running.jobs import Event
from lossbench.running.sweep import _task
from strategies import load_strategy


@pytest.mark.parametrize("rounds", [2, 3], ids=["begun", "complete"])
def test_a_record_made_under_other_numbers_is_refused(rounds: int, tmp_path: Path) -> None:
    sweep, out = written(tmp_path), tmp_path / "out"

    def stop(event: Event) -> None:
        if event.rounds == rounds:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(sweep, out, sink=Heard(stop))
    path = planned(sweep)[0].path(out)
    before = path.read_bytes()
    other = written(tmp_path, task=TASK.replace("epochs = 1", "epochs = 2"))
    with pytest.raises(ConfigError) as caught:
        run(other, out)
    assert str(caught.value) == f"{path} was made under other numbers of tiny; move it away, or use another --out"
    assert path.read_bytes() == before
    run(written(tmp_path), out)
    assert path.read_bytes()[: len(before) // 2] == before[: len(before) // 2]
    assert timeless(path)


def test_a_record_made_with_other_code_or_hyper_parameters_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "short.py"
    content = SHORT.replace(" - (len(ctx.labeled) > 12)", "")
    file.write_text(content.replace("    def select", "    share: float = 0.5\n\n    def select"), encoding="utf-8")
    text = f'protocols = ["tiny"]\nstrategies = ["{file}"]\nseeds = [0]\n'
    run(written(tmp_path, sweep=text), tmp_path / "out")
    assert load_strategy(str(file)).share == 0.5
    other = written(tmp_path, sweep=f'{text}parameters = {{ "{file}" = {{ share = 0.7 }} }}\n')
    with pytest.raises(ConfigError, match=r"was made with other hyper-parameters of short; move it away"):
        run(other, tmp_path / "out")
    sweep = written(tmp_path, sweep=text)
    file.write_text(file.read_text(encoding="utf-8") + "\n# edited\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"was made with other code of short; move it away"):
        run(sweep, tmp_path / "out")


@pytest.mark.slow
@pytest.mark.parametrize("rounds", [2, 3], ids=["begun", "complete"])
def test_a_record_made_from_other_data_is_refused(rounds: int, tmp_path: Path) -> None:
    sweep, out = written(tmp_path), tmp_path / "out"
    path = run(sweep, out)[0]
    record = read_record(path)
    other = record.model_copy(update={"fingerprints": {"data": "0" * 32}, "rounds": record.rounds[:rounds]})
    path.write_text(other.model_dump_json())
    if rounds == 3:  # a record that is whole is not compared with data: that would have to be read
        assert run(sweep, out)[0] == path
        return
    with pytest.raises(
        ConfigError, match=r"s0\.json was begun on other data \(data\); move it away, or use another --out$"
    ):
        run(sweep, out)
    assert read_record(path) == other


@pytest.mark.slow
def test_a_whole_record_of_another_weights_file_is_refused(tmp_path: Path) -> None:
    timm = pytest.importorskip("timm")
    weights, out = tmp_path / "weights.pth", tmp_path / "out"
    model = f'model = {{ kind = "timm", name = "test_resnet", weights = "{weights}", pixels = 32 }}'
    sweep = written(tmp_path, TASK.replace("model = { width = 8 }", model))
    torch.save(timm.create_model("test_resnet").state_dict(), weights)
    paths = run(sweep, out)
    _task.cache_clear()  # as in another process
    assert run(sweep, out) == paths
    torch.save(timm.create_model("test_resnet").state_dict(), weights)
    _task.cache_clear()
    with pytest.raises(ConfigError, match=r"s0\.json was made with another model \(weights\); move it away"):
        run(sweep, out)


@pytest.mark.slow
def test_a_start_from_another_machines_trunk_is_named(tmp_path: Path) -> None:
    sweep, out = written(tmp_path), tmp_path / "out"
    path = run(sweep, out)[0]
    record = read_record(path)
    fingerprints = record.fingerprints | {"trunk": "0" * 32}
    other = record.model_copy(update={"fingerprints": fingerprints, "rounds": record.rounds[:2]})
    path.write_text(other.model_dump_json())
    with pytest.raises(ConfigError, match=r"on other data \(trunk\).* or bring the cache/ of the machine"):
        run(sweep, out)


@pytest.mark.slow
def test_a_run_that_goes_on_elsewhere_names_both_machines(tmp_path: Path) -> None:
    sweep, out = written(tmp_path), tmp_path / "out"
    path = run(sweep, out)[0]
    here = read_record(path)
    there = here.machine.model_copy(update={"processor": "Other"})
    path.write_text(here.model_copy(update={"machine": there, "rounds": here.rounds[:2]}).model_dump_json())
    run(sweep, out)
    found = read_record(path)
    assert found.complete
    assert found.machine == here.machine.model_copy(update={"processor": f"Other, then {here.machine.processor}"})
    assert found.commit == here.commit


@pytest.mark.slow
def test_a_record_that_is_cut_off_is_refused_and_kept(tmp_path: Path) -> None:
    sweep, out = written(tmp_path), tmp_path / "out"
    path = run(sweep, out)[0]
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(RecordError, match=r"random-shared-s0\.json: not a valid record .*; move it away and run again"):
        run(sweep, out)
    assert len(path.read_bytes()) == 500
