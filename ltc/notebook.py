"""The laboratory in Python: what `ltc-train` does, with a table, a figure and a coder as result."""

import io
import json
import signal
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from hydra.core.override_parser.types import Quote, QuotedString
from hydra.errors import HydraException
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from rich.console import Console
from rich.table import Table

from ltc.bounds import RateDistortion
from ltc.cli.choices import composed
from ltc.cli.folders import claimed, folder_of_run, stored
from ltc.cli.messages import (
    describe,
    is_input_error,
    no_such_key,
    refuse_unknown_keys,
    unknown_key,
)
from ltc.codec import Code, FileCoder, Payload
from ltc.codec.grid_files import GridFileCoder
from ltc.coder import LatticeTransformCoder
from ltc.errors import InputError
from ltc.runs import checkpoint
from ltc.runs.figures import overview
from ltc.runs.run import Run
from ltc.runs.table import table
from ltc.runs.train import train as train_in
from ltc.sources import Source

__all__ = ["Result", "configuration", "load", "train"]


@dataclass(frozen=True, repr=False)
class Result:
    """A finished run: its parts, its numbers, and how a notebook shows them.

    Printed, or shown by a notebook, it is the table that `ltc-train` prints.

    Attributes:
        run: what was trained.
        metrics: the contents of `metrics.json`.
        folder: where its files are.
    """

    run: Run
    metrics: dict[str, Any]
    folder: Path

    @property
    def config(self) -> dict[str, Any]:
        """The configuration, plain values."""
        return self.run.config

    @property
    def source(self) -> Source:
        """The source."""
        return self.run.source

    @property
    def bound(self) -> RateDistortion | None:
        """The source's rate-distortion function; None with `bound=none`."""
        return self.run.bound

    @property
    def coder(self) -> LatticeTransformCoder:
        """The coder: analysis, lattice points, synthesis. A vector quantizer has none."""
        return self._part("coder")

    @property
    def code(self) -> Code:
        """The frozen entropy model, where there is a bitstream."""
        return self._part("code")

    def compress(self, array: ArrayLike) -> bytes:
        """Return the numbers of an array as an `.ltc` file, which `ltc-decompress` reads too.

        Arguments:
            array: real numbers of any shape: source vectors, one after the other; of a run of whole
                pictures pixels of 8 or 16 bits, shape (height, width) or (height, width, 3); of
                whole sounds floats from -1 to 1, shape (samples,) or (samples, channels).

        Raises:
            InputError: there is no bitstream, or a number is not finite or too large.
        """
        kind = self.source.whole or "array"
        suffix = {"array": ".npy", "image": ".png", "audio": ".wav"}[kind]
        rate = getattr(self.source, "sample_rate", None)
        payload = Payload(kind, {kind: np.asarray(array)}, suffix, rate, "FLOAT")
        return self._file_coder().compress(payload)

    def decompress(self, data: bytes) -> NDArray[Any]:
        """Return the array of an `.ltc` file, in its shape and type.

        Arguments:
            data: the file, of this coder.

        Raises:
            InputError: it is damaged, or of another coder.
        """
        payload, _ = self._file_coder().decompress(data)
        return next(iter(payload.arrays.values()))

    def figure(self) -> Figure:
        """Draw the run's point beside the rate-distortion function; in the plane, its cells too."""
        return overview(self.run, self.metrics)

    def __rich__(self) -> Table:
        return table(self.metrics)

    def __repr__(self) -> str:
        console = Console(file=io.StringIO(), width=100)
        with console.capture() as shown:
            console.print(self)
        return shown.get()

    def _repr_html_(self) -> str:
        shown: str = self.__rich__()._repr_mimebundle_(["text/html"], [])["text/html"]
        return shown

    def _part(self, name: str) -> Any:
        found = getattr(self.run, name, None)
        if found is None:
            raise InputError(f"the run in {self.folder} has no {name}; others have")
        return found

    def _file_coder(self) -> FileCoder | GridFileCoder:
        self._part("coder").cpu().eval()
        return self._part("files")


def configuration(*overrides: str, **settings: Any) -> DictConfig:
    """Return the configuration of `ltc-train`, to be read, changed, and given to `train`.

    Arguments:
        overrides: as on the command line.
        settings: the same as values of Python: `lmbda=2`, `source="banana"`.

    Raises:
        InputError: there is no such choice or key.

    Example:
        >>> config = configuration("quantizer=leech", lmbda=2)
        >>> config.lmbda, config.quantizer.lattice._target_
        (2, 'ltc.lattices.Leech')
    """
    given = [*overrides, *(f"{key}={_typed(value)}" for key, value in settings.items())]
    with _described(given):
        for override in given:
            if override.lstrip("+~").startswith("hydra"):
                raise InputError(f"{override} is for the command line; give folder=DIR")
        config = composed("train", given)
        refuse_unknown_keys(config, "train", given)
    return config


def train(
    *choices: str | Mapping[str, Any], folder: str | Path | None = None, **settings: Any
) -> Result:
    """Train a coder, measure it and compare it with the bound, as `ltc-train` does.

    The folder has what `ltc-train` writes: `ltc-report` and TensorBoard find the run there, and
    `resume=FOLDER` goes on with one that was ended.

    Arguments:
        choices: overrides as on the command line; or one whole configuration, of `configuration`,
            of another run, or of its `config.yaml`.
        folder: of the run, which never replaces another; None: a new one in `outputs`.
        settings: more overrides, as values of Python: `lmbda=2`, `source="banana"`.

    Raises:
        InputError: a value cannot be used, or the folder holds a run.
        TrainingDivergedError: the loss became NaN or infinite.

    Example:
        >>> import tempfile
        >>> run = train("quantizer=a2", "logger=csv", lmbda=4, steps=20, folder=tempfile.mkdtemp(),
        ...             **{"evaluate.samples": 2000})
        >>> run.metrics["quantizer"], 0 < run.metrics["gap_bits"] < 1
        ('a2', True)
        >>> x = np.array([[0.5, -1.0, 0.25]], dtype=np.float32)
        >>> run.decompress(run.compress(x)).shape
        (1, 3)
        >>> load(run.folder).metrics == run.metrics
        True
    """
    overrides = [choice for choice in choices if isinstance(choice, str)]
    with _described(overrides):
        if len(overrides) == len(choices):
            config = configuration(*overrides, **settings)
        elif len(choices) == 1 and not settings:
            config = _checked(DictConfig(choices[0]))
        else:
            raise InputError("expected one configuration or overrides, got both; change its values")
        if config.resume is not None and folder is not None:
            raise InputError(f"resume={config.resume} goes on in that folder; leave out folder=")
        if folder is None:
            now = time.strftime("%Y-%m-%d_%H-%M-%S")
            name = f"{now}_{config.name.source}_{config.name.quantizer}"
            folder = folder_of_run(config.resume, "outputs", name)
        folder, resumed = Path(folder).absolute(), config.resume is not None
        if resumed:
            config = stored(config, folder, [*overrides, *(f"{key}=" for key in settings)])
            # Not before: what would change a finished run is refused, too.
            if (folder / "metrics.json").exists():
                return load(folder)
        folder.mkdir(parents=True, exist_ok=True)
        with claimed(config, folder, "ltc-train.log", True, resumed, False), _interruptible():
            run, metrics = train_in(config, folder, resume=True)
    return Result(run, metrics, folder)


def _checked(config: DictConfig) -> DictConfig:
    """Return a configuration that has the keys of `ltc-train`, and no others."""
    refuse_unknown_keys(config, "train", [])
    default = composed("train")
    keys = [*map(str, default)]
    missing = sorted({*keys} - {*map(str, config)})
    if missing:
        raise InputError(
            f"the configuration lacks {', '.join(missing)}; expected a whole one, of "
            "ltc.configuration(...)"
        )
    for key in keys:
        if OmegaConf.is_dict(default[key]) and not OmegaConf.is_dict(config[key]):
            raise InputError(
                f"{key}={config[key]}; expected what ltc.configuration({key}=NAME) has"
            )
    return config


def load(folder: str | Path) -> Result:
    """Return a finished run, on the CPU.

    Arguments:
        folder: of the run.

    Raises:
        InputError: there is none in it, or it was not finished.

    Example:
        >>> load("nowhere")
        Traceback (most recent call last):
        ltc.errors.InputError: ckpt=nowhere: there is no file nowhere
    """
    with _described([]):
        run = checkpoint.load(folder)
        try:
            metrics = json.loads(Path(folder, "metrics.json").read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InputError(
                f"{folder}: it has no metrics ({error}); expected the folder of a finished run, "
                "and ltc.train(resume=FOLDER) finishes one"
            ) from error
    return Result(run, metrics, Path(folder).absolute())


def _typed(value: Any) -> str:
    """Return a value as it is typed on the command line."""
    if isinstance(value, str | Path):
        return QuotedString(text=str(value), quote=Quote.single).with_quotes()
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{key}:{_typed(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(_typed, value)) + "]"
    return json.dumps(value) if value is None or isinstance(value, bool) else str(value)


@contextmanager
def _described(overrides: list[str]) -> Iterator[None]:
    """Raise what is wrong with the input as an InputError, as the commands tell it."""
    try:
        yield
    except InputError:
        raise
    except (HydraException, OmegaConfBaseException) as error:
        key = unknown_key(error)
        told = describe(error) if key is None else no_such_key(key, "train", overrides)
        raise InputError(told) from error
    except Exception as error:
        if is_input_error(error):
            raise InputError(describe(error)) from error
        raise


@contextmanager
def _interruptible() -> Iterator[None]:
    """Keep Ctrl-C at work, which Lightning turns off when it ends by it, and warnings out."""
    handler = signal.getsignal(signal.SIGINT)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"lightning\..*")
            yield
    finally:
        if signal.getsignal(signal.SIGINT) is not handler:
            signal.signal(signal.SIGINT, handler)
