"""Logarithms of the short-time spectrum of speech."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import scipy.fft
import torch
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from ltc.checks import integer
from ltc.errors import InputError
from ltc.media import SOUNDS
from ltc.sources._folder import assemble, find_files, thin
from ltc.sources.audio import free_spoken_digits, read_recordings
from ltc.sources.base import FiniteSource
from ltc.threads import one_thread

__all__ = ["SpeechSTFT", "log_spectrum"]


def log_spectrum(frames: NDArray[Any]) -> NDArray[np.float32]:
    """Return the natural logarithms of the magnitudes of frames' spectra.

    A symmetric Hann window, zeros up to the next power of two, and 2^-52 added, so that silence
    has a logarithm.

    Arguments:
        frames: samples, shape (number, length).

    Returns:
        Shape (number, bins): half the power of two, and one more.

    Example: a wave of four samples a period.
        >>> spectrum = log_spectrum(np.cos(np.pi / 2 * np.arange(63))[None])
        >>> spectrum.shape, int(spectrum.argmax())
        ((1, 33), 16)
    """
    length = frames.shape[-1]
    windowed = frames.astype(np.float32) * np.hanning(length).astype(np.float32)
    spectrum = scipy.fft.rfft(windowed, 1 << (length - 1).bit_length())
    logarithms: NDArray[np.float32] = np.log(np.abs(spectrum) + np.finfo(np.float64).eps)
    return logarithms.astype(np.float32)


class SpeechSTFT(FiniteSource):
    """Logarithms of the magnitudes of short-time Fourier transforms of speech.

    Each vector is a frame, see `log_spectrum`; the next one begins `step` samples later. Frames,
    speaker and split (index 0 to 4 held out) are those of Yang and Mandt, whose script wrote the
    data that Lattice Transform Coding was measured on. As in the published code of the latter the
    mean of every bin is taken out and the scale stays; but it is the mean of the training frames
    in both sets, where that code takes each set's own, which a decoder does not know. `offset`
    holds these means. Of long recordings some frames are left out, as in `Audio`: 5 % of all.

    Reference:
        Yang and Mandt: Towards Empirical Sandwich Bounds on the Rate-Distortion Function. ICLR
        2022; data/speech/create_data.py of github.com/mandt-lab/RD-sandwich.
        Lei, Hassani and Saeedi Bidokhti: Approaching Rate-Distortion Limits in Neural Compression
        with Lattice Transform Coding. ICLR 2025; LTC/data.py of
        github.com/leieric/lattice-transform-coding.

    Arguments:
        frame: samples per frame, two at least; of 63 there are 33 bins, the dimension.
        step: samples from one frame to the next.
        speaker: whose recordings, as in `DIGIT_SPEAKER_INDEX.wav`; None: all of the folder,
            whatever they are called.
        root: folder of mono WAV, FLAC and Ogg files of one sample rate; None: the Free Spoken Digit
            Dataset, fetched once.

    Raises:
        InputError: a parameter is out of its range; the folder is missing, or has no recording of
            the speaker; or what `Audio` raises.

    Example:
        >>> import soundfile, tempfile
        >>> root = Path(tempfile.mkdtemp())
        >>> for index in (0, 5):
        ...     noise = np.random.default_rng(index).normal(0, 0.1, 162)
        ...     soundfile.write(root / f"7_theo_{index}.wav", noise, 8000)
        >>> source = SpeechSTFT(root=root)
        >>> source.train.shape, source.test.shape
        (torch.Size([100, 33]), torch.Size([100, 33]))
    """

    name = "speech_stft"

    def __init__(
        self,
        frame: int = 63,
        step: int = 1,
        speaker: str | None = "theo",
        root: str | Path | None = None,
    ) -> None:
        self.frame = integer("source.frame", frame, 2)
        self.step = integer("source.step", step)
        paths = find_files(free_spoken_digits() if root is None else root, SOUNDS)
        if speaker is not None:
            named = re.compile(rf"\d+_{re.escape(str(speaker))}_\d+")
            paths = [path for path in paths if named.fullmatch(path.stem)]
        if not paths:
            raise InputError(
                f"source.root={root} holds no recording of source.speaker={speaker}, named "
                f"DIGIT_{speaker}_INDEX; choose another speaker, or source.speaker=null for all"
            )
        train, test, _ = read_recordings(paths, lambda samples: self._rows(samples, len(paths)))
        rows, others, _, gain = assemble(train, test, "recordings", scale=False)
        with one_thread():  # the order of a sum is not the machine's affair
            mean = rows.mean(0, dtype=torch.float64)
        super().__init__(rows.sub_(mean), others.sub_(mean), mean.tolist(), gain)

    def _rows(self, samples: NDArray[Any], files: int) -> NDArray[np.float32]:
        """Return logarithms of the spectrum, shape (number, bins)."""
        if len(samples) < self.frame:
            raise ValueError(f"{len(samples)} samples hold no frame of {self.frame}")
        frames = sliding_window_view(samples, self.frame)[:: self.step]
        bins = (1 << (self.frame - 1).bit_length()) // 2 + 1
        return log_spectrum(frames[thin(len(frames), bins, files)])
