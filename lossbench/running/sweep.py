"""Many runs: in this process or in one single-threaded worker per core, resumed from their records."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache, partial
from multiprocessing.queues import SimpleQueue
from pathlib import Path

from leaderboard.schema.records import MetricInfo, Record, read_record, write_record
from lossbench.config import RANDOM_FIRST, ConfigError, Protocol
from lossbench.paths import Paths
from lossbench.running.deaths import RunError, no_exit
from lossbench.running.jobs import Event, Job, Sink
from lossbench.running.workers import Group, Worker, end_with_parent, spread, warm_up, worker_context
from tasks.files import Source
from tasks.kinds import load_kind, loaded_sources
from tasks.locks import locked, remove_abandoned
from tasks.models.outside import load_model, loaded_model_sources
from tasks.models.trust import configs_trusted, trust_configs
from tasks.outside import blaming_outside
from tasks.progress import listening


def run_job(number: int, job: Job, paths: Paths, events: Sink) -> Path:
    """Make a run, or the rest of it, and return the path of its record.

    The record is written after every round. Another process that makes the same run is waited for.

    Raises:
        LossbenchError: the record cannot be continued, or code from outside fails or ends the program.
    """
    path = job.path(paths.out)
    path.parent.mkdir(parents=True, exist_ok=True)
    with locked(path), no_exit(job.title), blaming_outside():
        found = read_record(path) if path.exists() else None
        if found is not None:
            _same_protocol(found, job, path)
        if found is None or not found.complete:
            done = len(found.rounds) if found else 0
            with listening(lambda text: events.put(Event(number, done, text))):
                for record in _rounds(job, paths, found):
                    write_record(record, path)
                    done = len(record.rounds)
                    events.put(Event(number, done, "running"))
    events.put(Event(number, job.rounds, "done"))
    return path


def _rounds(job: Job, paths: Paths, record: Record | None) -> Iterator[Record]:
    """The record after each further round."""
    import torch  # noqa: PLC0415 - here and below: only where a run is made

    from lossbench.running.machine import commit, describe  # noqa: PLC0415
    from lossbench.running.pool import Pool  # noqa: PLC0415

    strategy = job.strategy()  # before the data: hyper-parameters may be wrong
    task = _task(job.protocol, paths)  # pyright: ignore[reportArgumentType] - frozen models have a hash
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
    elif record.fingerprints != fingerprints:
        names = sorted(fingerprints | record.fingerprints)
        other = [name for name in names if fingerprints.get(name) != record.fingerprints.get(name)]
        msg = (
            f"{job.path(paths.out)} was begun on other data ({', '.join(other)}); move it away, or use another --out"
            f"{', or bring the cache/ of the machine that it was begun on' if 'trunk' in other else ''}"
        )
        raise ConfigError(msg)
    record = record.going_on(describe(torch.device(paths.device)), commit())
    protocol = job.protocol
    if job.full_pool:
        protocol = protocol.on_full_pool(len(Pool.of(task, protocol).eligible))
    run = job.run(task, protocol, strategy, paths.out / "models", record.first)
    if protocol.budget.first != RANDOM_FIRST:
        record = record.model_copy(update={"first": tuple(run.first_labels.tolist())})
    for one in run.rounds(record.rounds):
        record = record.model_copy(update={"rounds": (*record.rounds, one)})
        yield record


def _same_protocol(record: Record, job: Job, path: Path) -> None:
    """Raise a ConfigError when a record was begun under other numbers than the job's."""
    if record.config != job.protocol.model_dump(mode="json"):
        msg = f"{path} was made under other numbers of {job.protocol.name}; move it away, or use another --out"
        raise ConfigError(msg)
    if record.fingerprints.get("strategy") != job.fingerprints.get("strategy"):
        msg = f"{path} was made with other code of {record.strategy}; move it away, or use another --out"
        raise ConfigError(msg)
    if record.strategy_config != job.strategy().model_dump(mode="json"):
        msg = f"{path} was made with other hyper-parameters of {record.strategy}; move it away, or use another --out"
        raise ConfigError(msg)


@lru_cache(maxsize=1)
def _task(protocol: Protocol, paths: Paths):  # noqa: ANN202 - a Task; its import is heavy
    import torch  # noqa: PLC0415

    from tasks.kinds import build_task  # noqa: PLC0415

    return build_task(protocol.task, paths.data, paths.out / "cache", torch.device(paths.device))


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


def run_sweep(planned: list[Job], paths: Paths, workers: int, events: Sink) -> list[Path]:
    """Make all runs and return their records' paths, in order; the first failure ends the rest.

    Raises:
        RunError: the record of a run is missing or incomplete at the end.
    """
    os.environ.update({"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"})
    try:
        if workers == 1:
            prepare()
            records = [run_job(number, job, paths, events) for number, job in enumerate(planned)]
        else:
            records = _in_workers(planned, paths, workers, events)
    finally:  # workers that were ended could not remove theirs
        for pattern in ("records/**/*.lock", "models/*.lock", "cache/**/*.lock"):
            remove_abandoned(paths.out.glob(pattern))
    for job, path in zip(planned, records, strict=True):
        if not path.exists() or not read_record(path).complete:
            msg = f"{job.title}: its record {path} is missing or incomplete at the end of the sweep"
            raise RunError(msg)
    return records


def _in_workers(planned: list[Job], paths: Paths, workers: int, events: Sink) -> list[Path]:
    warm_up(sorted({job.protocol.task.kind for job in planned}), paths.device)
    context = worker_context(paths.device)
    shared: SimpleQueue[Event] = context.SimpleQueue()
    start = (shared, loaded_sources(), loaded_model_sources(), configs_trusted())
    processes = [Worker(lambda: ProcessPoolExecutor(1, context, _start_worker, start)) for _ in range(workers)]

    def listen() -> None:
        while not shared.empty():
            events.put(shared.get())

    groups = [Group(job.protocol.name, job.seed) for job in planned]
    return spread(partial(_run_in_worker, paths), planned, groups, processes, listen, [job.title for job in planned])


_to_parent: list[Sink] = []
"""In a worker: where its events go."""


def _start_worker(events: Sink, kinds: tuple[Source, ...], models: tuple[Source, ...], trusted: bool) -> None:
    """Prepare a worker."""
    end_with_parent()
    trust_configs(trusted)
    _to_parent.append(events)
    for kind in kinds:
        load_kind(kind)
    for model in models:
        load_model(model)
    prepare()


def _run_in_worker(paths: Paths, number: int, job: Job) -> Path:
    return run_job(number, job, paths, _to_parent[0])
