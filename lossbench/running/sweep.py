"""One run, resumed from its record, and many of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from leaderboard.schema.records import MetricInfo, Record, read_record
from leaderboard.schema.upgrades import table_in
from leaderboard.scoring.survey import MODEL_FINGERPRINTS
from lossbench.config import RANDOM_FIRST, ConfigError, Protocol
from lossbench.locks import remove_abandoned
from lossbench.paths import Paths
from lossbench.running.deaths import RunError, no_exit
from lossbench.running.executors.base import NEVER, Deadline, Executor
from lossbench.running.jobs import Job, Sink
from lossbench.running.recording import Recording
from tasks.outside.errors import blaming_outside
from tasks.progress import listening


def run_job(number: int, job: Job, paths: Paths, events: Sink, deadline: Deadline = NEVER) -> Path:
    """Make a run, or the rest of it, and return the path of its record.

    The record is written after every round. Another process that makes the same run is waited for until the deadline.

    Raises:
        LossbenchError: the record cannot be continued, or code from outside fails or ends the program.
    """
    recording = Recording(number, job, paths.out, events)
    with recording.held(deadline) as held:
        if not held:
            return recording.path
        recording.read()
        if recording.complete or not deadline.passed:
            for record in rounds_of(job, paths, recording.record, recording.report, lambda: deadline.passed):
                recording.keep(record)
    recording.end()
    return recording.path


def rounds_of(
    job: Job, paths: Paths, record: Record | None, report: Callable[[str], None], ended: Callable[[], bool]
) -> Iterator[Record]:
    """The record after each further round; of a whole record none.

    Args:
        job: the run.
        paths: of data, models and caches.
        record: of the rounds that are done; None if there are none.
        report: is told of long preparations, and how far trainings are.
        ended: whether no further round is to begin; asked before each, when the task is prepared.

    Raises:
        LossbenchError: code from outside fails or ends the program, or the data or the model are not those of the record.
    """
    with no_exit(job.title), blaming_outside(), listening(report):
        if record is None or not record.complete:
            yield from _rounds(job, paths, record, ended)
        elif names_own_files(job):
            _require_same_model(record, job, paths)


def _rounds(job: Job, paths: Paths, record: Record | None, ended: Callable[[], bool]) -> Iterator[Record]:
    """The record after each further round."""
    import torch  # noqa: PLC0415 - here and below: only where a run is made

    from lossbench.running.machine import commit, describe  # noqa: PLC0415
    from lossbench.running.pool import Pool  # noqa: PLC0415

    strategy = job.strategy()  # before the data: hyper-parameters may be wrong
    task = _task(job.protocol, paths)  # pyright: ignore[reportArgumentType] - frozen models have a hash
    if job.split == "test" and not task.test_size:
        msg = f"{job.protocol.name} holds no image out for testing; raise task.data.labeled.held_out, or label more images"
        raise ConfigError(msg)
    fingerprints = dict(task.fingerprints) | job.fingerprints
    if record is None:
        record = Record(
            protocol=job.protocol.name,
            version=job.protocol.version,
            track=job.track,
            strategy=job.name,
            reference=job.full_pool or strategy.cheats,
            seed=job.seed,
            split=job.split,
            metric=MetricInfo(**task.metric._asdict()),
            group_names=task.group_names,
            config=job.protocol.model_dump(mode="json"),
            strategy_config=strategy.model_dump(mode="json"),
            fingerprints=fingerprints,
            machine=describe(torch.device(paths.device)),
            commit=commit(),
            planned_rounds=job.rounds,
            rounds=(),
        )
    _require_same_inputs(record, fingerprints, job.path(paths.out))
    record = record.going_on(describe(torch.device(paths.device)), commit())
    protocol = job.protocol
    if job.full_pool:
        protocol = protocol.on_full_pool(len(Pool.of(task, protocol).eligible))
    run = job.run(task, protocol, strategy, paths.models, record.first)
    if protocol.budget.first != RANDOM_FIRST:
        record = record.model_copy(update={"first": tuple(run.first_labels.tolist())})
    rounds = run.rounds(record.rounds)
    while not ended() and (one := next(rounds, None)) is not None:
        record = record.model_copy(update={"rounds": (*record.rounds, one)})
        yield record


def names_own_files(job: Job) -> bool:
    """Whether a run's model is a user's file, or has weights from one: they may change while the protocol stays."""
    model = table_in(job.protocol.task.model_dump(mode="json"), "model")
    weights = model.get("weights")
    return model.get("kind") == "file" or (isinstance(weights, str) and Path(weights).expanduser().is_file())


def _require_same_model(record: Record, job: Job, paths: Paths) -> None:
    """Raise a ConfigError where a whole record was made with other files of a model than a protocol names now.

    The data have to be read for that.
    """
    task = _task(job.protocol, paths)  # pyright: ignore[reportArgumentType] - frozen models have a hash
    own = {name: digest for name, digest in task.fingerprints.items() if name in MODEL_FINGERPRINTS}
    _require_same_inputs(record, dict(record.fingerprints) | own, job.path(paths.out))


def _require_same_inputs(record: Record, fingerprints: Mapping[str, str], path: Path) -> None:
    """Raise a ConfigError where a record names other data or another model."""
    names = sorted({*fingerprints, *record.fingerprints})
    other = [name for name in names if fingerprints.get(name) != record.fingerprints.get(name)]
    if other:
        what = "made with another model" if set(MODEL_FINGERPRINTS).issuperset(other) else "begun on other data"
        msg = (
            f"{path} was {what} ({', '.join(other)}); move it away, or use another --out"
            f"{', or bring the cache/ of the machine that it was begun on' if 'trunk' in other else ''}"
        )
        raise ConfigError(msg)


@lru_cache(maxsize=1)
def _task(protocol: Protocol, paths: Paths):  # noqa: ANN202 - a Task; its import is heavy
    import torch  # noqa: PLC0415

    from tasks.kinds import build_task  # noqa: PLC0415
    from tasks.training.processes.parallel import alone, require_agreement  # noqa: PLC0415

    with alone():  # caches have locks
        task = build_task(protocol.task, paths.data, paths.cache, torch.device(paths.device))
    require_agreement(json.dumps(dict(task.fingerprints), sort_keys=True).encode(), f"the data of {protocol.name}")
    return task


def forget_task() -> None:
    """Read the data again for the next run, also if it is of the same protocol as the last."""
    _task.cache_clear()


def prepare(threads: int = 1) -> None:
    """One thread per process: on a CPU results are then a function of the seed, and workers do not fight for cores.

    On a GPU, sums are added up in no fixed order, so that two runs of a seed differ by rounding; convolutions in fp32 are
    not rounded to TF32, which is torch's default for them alone.
    """
    import cv2  # noqa: PLC0415
    import torch  # noqa: PLC0415

    from lossbench.running.machine import commit  # noqa: PLC0415

    commit()
    cv2.setNumThreads(0)
    torch.backends.cudnn.allow_tf32 = False  # fp32 is fp32; what is to be faster says bf16
    torch.set_num_threads(threads)


def run_sweep(
    planned: Sequence[Job], paths: Paths, executor: Executor, events: Sink, deadline: Deadline = NEVER
) -> list[Path]:
    """Make all runs and return the paths of complete records, in order; the first failure ends the rest.

    Args:
        planned: the runs.
        paths: of data and results.
        executor: makes them.
        events: are told of every round.
        deadline: after which no round begins.

    Raises:
        RunError: the record of a run is missing or incomplete at the end, and the deadline has not passed.
    """
    try:
        executor.make(planned, paths, events, deadline)
    finally:  # workers that were ended could not remove theirs
        for pattern in ("records/**/*.lock", "models/*.lock", "cache/**/*.lock"):
            remove_abandoned(paths.out.glob(pattern))
    complete = []
    for job in planned:
        path = job.path(paths.out)
        if path.exists() and read_record(path).complete:
            complete.append(path)
        elif not deadline.passed:
            msg = f"{job.title}: its record {path} is missing or incomplete at the end of the sweep"
            raise RunError(msg)
    return complete
