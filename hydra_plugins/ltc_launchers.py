"""Launchers of sweeps: runs side by side, and one whose process dies takes no other with it.

Hydra takes plugins from the namespace `hydra_plugins` only. The published launchers of these
engines end a sweep with the first process that is killed, and that of submitit starts all runs at
once on this machine.
"""

import importlib
import logging
import os
import sys
import threading
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus, configure_log
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from ltc.checks import integer
from ltc.cli.job import Job, failure
from ltc.cli.messages import describe
from ltc.errors import InputError

__all__ = ["JoblibLauncher", "RayLauncher", "SubmititLauncher"]

log = logging.getLogger(__name__)


def _engine(name: str, module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise InputError(
            f'launcher={name} is an extra: pip install ".[launchers]" in the clone of ltc ({error})'
        ) from error


class EngineLauncher(Launcher):
    """What launchers of all engines have in common.

    Arguments:
        threads: what each run computes on.
    """

    name: str
    shown: bool  # whether what runs print is seen where the sweep was started

    def __init__(self, threads: int) -> None:
        self.threads = integer("hydra.launcher.threads", threads)

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Take what runs are made of."""
        self.hydra_context = hydra_context
        self.task: Any = task_function  # an `ltc.cli.command.Task`, which keeps what failed
        self.config = config

    @abstractmethod
    def start(self, jobs: list[Job]) -> AbstractContextManager[list[Callable[[], JobReturn]]]:
        """Start the runs; yields what waits for each, and raises where its process died."""

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        """Run the runs of a sweep, or of a part of it; each failure is one run's."""
        configure_log(self.config.hydra.hydra_logging, self.config.hydra.verbose)
        folder = Path(self.config.hydra.sweep.dir).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        # Processes that are started from this one have it before they load any library.
        os.environ["OMP_NUM_THREADS"] = str(self.threads)
        known = {
            key: value for key, value in os.environ.items() if key.startswith(("LTC_", "OMP_"))
        }
        jobs = [
            Job(
                number,
                list(overrides),
                self.threads,
                str(folder),
                os.getcwd(),
                known,
                self.hydra_context,
                self.config,
                self.task,
                Singleton.get_state(),
            )
            for number, overrides in enumerate(job_overrides, start=initial_job_idx)
        ]
        log.info("%s runs %d runs in %s", self.name, len(jobs), folder)
        with self.start(jobs) as waiting:
            return [self._returned(job, wait) for job, wait in zip(jobs, waiting, strict=True)]

    def _returned(self, job: Job, wait: Callable[[], JobReturn]) -> JobReturn:
        """Return what a run returned; that its process died is a failure like another."""
        lost = False
        try:
            returned = wait()
        except Exception as error:
            lost = True
            error = getattr(error, "cause", None) or error  # Ray's own is a whole traceback
            first = str(error).strip().partition("\n")[0]
            returned = JobReturn(overrides=job.overrides, status=JobStatus.FAILED)
            returned.return_value = RuntimeError(
                f"its process ended ({type(error).__name__}: {first}); the same sweep and "
                f"hydra.sweep.dir={job.folder} go on with it"
            )
        reason = failure(returned)
        if reason is not None:
            self.task.failures.append(reason)
            if lost or not self.shown:
                print(f"failed: {' '.join(job.overrides)}: {describe(reason)}", file=sys.stderr)
        elif not self.shown:
            log.info("finished: %s", " ".join(job.overrides))
        return returned


class JoblibLauncher(EngineLauncher):
    """Runs side by side on this machine, in processes of joblib's.

    Arguments:
        threads: what each run computes on.
        jobs: runs at a time; None: as many as there are cores for their threads.
    """

    name, shown = "joblib", True

    def __init__(self, threads: int = 1, jobs: int | None = None) -> None:
        super().__init__(threads)
        self.jobs = _at_a_time(jobs, self.threads)

    @contextmanager
    def start(self, jobs: list[Job]) -> Iterator[list[Callable[[], JobReturn]]]:
        """Start as many processes as may run at a time, each with an executor of its own.

        One executor for all would end all of them with the first that is killed.
        """
        loky = _engine(self.name, "joblib.externals.loky")
        mine = threading.local()
        executors = []

        def run(job: Job) -> JobReturn:
            if not hasattr(mine, "executor"):
                mine.executor = loky.ProcessPoolExecutor(max_workers=1)
                executors.append(mine.executor)
            try:
                returned: JobReturn = mine.executor.submit(job).result()
            except loky.BrokenProcessPool:
                del mine.executor
                raise
            return returned

        with _threads(self.jobs) as pool:
            try:
                yield [pool.submit(run, job).result for job in jobs]
            finally:
                for executor in executors:
                    executor.shutdown(kill_workers=True)


class RayLauncher(EngineLauncher):
    """Runs on the nodes of a Ray cluster, which share the folder of the sweep.

    Arguments:
        threads: what each run computes on; Ray counts them as CPUs.
        gpus: what each run takes of them.
        init: arguments of `ray.init`. Without an address that is the cluster that `ray start`
            began on this machine or RAY_ADDRESS names, or one for this sweep.
    """

    name, shown = "ray", False

    def __init__(
        self, threads: int = 1, gpus: float = 0, init: dict[str, Any] | None = None
    ) -> None:
        super().__init__(threads)
        self.gpus = gpus
        self.init = init or {}

    @contextmanager
    def start(self, jobs: list[Job]) -> Iterator[list[Callable[[], JobReturn]]]:
        """Hand all to Ray, which runs as many at a time as it has CPUs for."""
        # Otherwise it looks for a cluster that is gone for twelve minutes; this is half a one.
        os.environ.setdefault("RAY_NUM_REDIS_GET_RETRIES", "1")
        ray = _engine(self.name, "ray")
        try:
            ray.init(**{"ignore_reinit_error": True, "log_to_driver": False, **self.init})
        except (RuntimeError, ValueError, OSError) as error:
            raise InputError(
                f"launcher=ray: no cluster can be used ({error}); `ray stop` forgets one that is "
                "gone, +hydra.launcher.init.address=local starts one for this sweep"
            ) from error
        # What killed the process once may do so again; the sweep is started again on purpose.
        remote = ray.remote(num_cpus=self.threads, num_gpus=self.gpus, max_retries=0)(_on_a_node)
        waiting = [remote.remote(job) for job in jobs]

        def returned(place: int) -> JobReturn:
            found: JobReturn
            node, found = ray.get(waiting[place])
            log.info("run %d ran on node %s", jobs[place].number, node)
            return found

        yield [partial(returned, place) for place in range(len(jobs))]


def _on_a_node(job: Job) -> tuple[str, JobReturn]:
    """Run a run on Ray; returns the node's name before what the run returned."""
    ray = _engine("ray", "ray")
    return ray.get_runtime_context().get_node_id()[:8], job()


class SubmititLauncher(EngineLauncher):
    """Runs as jobs of Slurm, or as processes that are to this machine what those are to a cluster.

    Arguments:
        cluster: `slurm` or `local`.
        folder: where submitit keeps what it sends and what runs print.
        threads: what each run computes on: CPUs per task.
        jobs: runs at a time on this machine; None: as many as there are cores for their threads.
        parameters: what `submitit.AutoExecutor` takes beside: timeout_min, mem_gb, gpus_per_node,
            slurm_partition, slurm_array_parallelism ...
    """

    name, shown = "submitit", False

    def __init__(
        self,
        cluster: str,
        folder: str,
        threads: int = 1,
        jobs: int | None = None,
        **parameters: Any,
    ) -> None:
        super().__init__(threads)
        self.jobs = _at_a_time(jobs, self.threads)
        self.cluster = cluster
        self.folder = folder
        self.parameters = parameters

    @contextmanager
    def start(self, jobs: list[Job]) -> Iterator[list[Callable[[], JobReturn]]]:
        """Submit all as one array to Slurm, or a few at a time to this machine."""
        submitit = _engine(f"submitit_{self.cluster}", "submitit")
        executor = submitit.AutoExecutor(folder=self.folder, cluster=self.cluster)
        executor.update_parameters(cpus_per_task=self.threads, **self.parameters)
        if self.cluster == "slurm":
            yield [job.result for job in executor.map_array(Job.__call__, jobs)]
            return
        submitted = []

        def run(job: Job) -> JobReturn:
            submitted.append(executor.submit(job))
            returned: JobReturn = submitted[-1].result()
            return returned

        with _threads(self.jobs) as pool:
            try:
                yield [pool.submit(run, job).result for job in jobs]
            finally:
                for job in submitted:
                    job.cancel()


def _at_a_time(jobs: int | None, threads: int) -> int:
    """Return how many runs fit on this machine at a time."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, (cores or 1) // threads) if jobs is None else integer("hydra.launcher.jobs", jobs)


@contextmanager
def _threads(count: int) -> Iterator[ThreadPoolExecutor]:
    """Yield threads that start nothing more once the block has ended."""
    pool = ThreadPoolExecutor(count)
    try:
        yield pool
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
