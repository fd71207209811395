"""A run of a sweep as it is sent to another process."""

import os
from dataclasses import dataclass
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus, run_job, setup_globals
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict

from ltc.cli.messages import describe, is_input_error
from ltc.errors import InputError

__all__ = ["Job", "failure"]


@dataclass(frozen=True)
class Job:
    """A run of a sweep, as it is sent to the process that runs it.

    Attributes:
        number: of the run.
        overrides: what its configuration differs in.
        threads: what it computes on.
        folder: of the sweep, absolute.
        directory: what relative paths of the configuration begin at.
        environment: variables that the process has to have.
        hydra_context: as Hydra wants it back.
        config: of the sweep.
        task: what runs.
        singletons: the state of Hydra.
    """

    number: int
    overrides: list[str]
    threads: int
    folder: str
    directory: str
    environment: dict[str, str]
    hydra_context: HydraContext
    config: DictConfig
    task: TaskFunction
    singletons: dict[Any, Any]

    def __call__(self) -> JobReturn:
        """Run it, in whatever process this is."""
        os.environ.update(self.environment)
        os.chdir(self.directory)
        import torch  # not above: it is slow to load, and the process of the sweep has no need

        torch.set_num_threads(self.threads)
        setup_globals()
        Singleton.set_state(self.singletons)
        config = self.hydra_context.config_loader.load_sweep_config(self.config, self.overrides)
        with open_dict(config):
            config.hydra.job.id = f"{config.hydra.job.name}_{self.number}"
            config.hydra.job.num = self.number
            config.hydra.sweep.dir = self.folder
        HydraConfig.instance().set_config(config)
        returned = run_job(
            hydra_context=self.hydra_context,
            config=config,
            task_function=self.task,
            job_dir_key="hydra.sweep.dir",
            job_subdir_key="hydra.sweep.subdir",
        )
        error = failure(returned)
        if error is not None and is_input_error(error):  # what it was raised from is not sent
            returned.return_value = InputError(describe(error))
        return returned


def failure(returned: JobReturn) -> Exception | None:
    """Return why a run failed, if it did."""
    return returned._return_value if returned.status == JobStatus.FAILED else None
