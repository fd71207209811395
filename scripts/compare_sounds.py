r"""The README's table of sounds: runs of `source=sounds` beside other waveform codecs.

    ltc-train source=sounds hydra.run.dir=outputs/sounds_trellis_8
    ltc-train source=sounds quantizer=scalar hydra.run.dir=outputs/sounds_scalar
    ltc-train -m source=audio quantizer=scalar lmbda=20,40,80,160,320 hydra.sweep.dir=outputs/audio
    python scripts/compare_sounds.py outputs/sounds_trellis_8 outputs/sounds_scalar \
        --audio outputs/audio

The recordings that `source=sounds` holds out are joined to one sound, because a header would be
0.14 bits per sample of a spoken digit, and coded as files. Printed are signal-to-noise ratios at
some rates, interpolated where a codec does not have them; the rates of codecs that have one; what a
lossless file takes; and the processor time of a minute of 48 kHz with the tables of a run, at 1.5
bits per sample, which the threads of torch share. The other codecs are those of libsndfile. Runs of
frames as vectors (`--audio`) are their own measurement, on the same recordings.
"""

import argparse
import io
import json
import time
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray
from scipy.signal import resample_poly

from ltc.codec import Aim, Payload
from ltc.coder.grid import FINEST
from ltc.runs.checkpoint import load_coder
from ltc.sources import Sounds
from ltc.transforms import MDCT

Points = list[tuple[float, float]]
# A size is met within a third of a per cent: between these the ratio is interpolated.
AROUND = (0.98, 1.02)
# Of libsndfile: format, type of samples, and what is asked for.
LEVELS = [0.0, 0.15, 0.3, 0.45, 0.6, 0.75, 0.9, 1.0]
OTHERS = {
    "Opus": ("OGG", "OPUS", LEVELS),
    "Vorbis": ("OGG", "VORBIS", LEVELS),
    "NMS ADPCM, 2 bits": ("WAV", "NMS_ADPCM_16", [None]),
    "G.726, 3 bits": ("AU", "G723_24", [None]),
    "G.726, 4 bits": ("AU", "G721_32", [None]),
    "G.711, 8 bits": ("AU", "ULAW", [None]),
    "FLAC": ("FLAC", "PCM_16", [1.0]),
}


def snr(decoded: NDArray[np.floating], sound: NDArray[np.floating]) -> float:
    """Return the signal-to-noise ratio, dB."""
    error = np.square(decoded[: len(sound)] - sound).mean()
    return float(10 * np.log10(sound.var() / error)) if error > 0 else np.inf


def with_libsndfile(
    sound: NDArray[np.floating], rate: int, form: str, subtype: str, level: float | None
) -> tuple[float, float]:
    """Return bits per sample and SNR of a codec of libsndfile."""
    stream = io.BytesIO()
    soundfile.write(stream, sound, rate, subtype, format=form, compression_level=level)
    size = len(stream.getvalue())
    stream.seek(0)
    decoded, _ = soundfile.read(stream)
    return 8 * size / len(sound), snr(
        np.pad(decoded, (0, max(0, len(sound) - len(decoded)))), sound
    )


def with_run(folder: str, payload: Payload, rates: list[float]) -> Points:
    """Return rates and SNR of a run."""
    coder, sound, points = load_coder(folder), payload.arrays["audio"], []
    for rate in (factor * rate for rate in rates for factor in AROUND):
        data = coder.compress(payload, aim=Aim("bps", rate))
        decoded = coder.decompress(data)[0].arrays["audio"]
        points.append((8 * len(data) / len(sound), snr(decoded, sound)))
    return points


def seconds_of_a_minute(folder: str, payload: Payload) -> str:
    """Return the processor time that encoding and decoding a minute of 48 kHz take."""
    coder = load_coder(folder)
    coder.facts["sample_rate"], coder.model.transform = 48_000, MDCT(1, 48_000)
    # Speech has little above 4 kHz, and takes less than 1.5 bits: with noise it does.
    short = payload.arrays["audio"][: 60 * payload.rate]
    long = resample_poly(short, 48_000, payload.rate)
    long = long + 0.01 * np.random.default_rng(0).normal(size=long.shape)
    minute = Payload("audio", {"audio": long.astype(np.float32)}, ".wav", 48_000)
    first = Payload("audio", {"audio": minute.arrays["audio"][: 1 << 17]}, ".wav", 48_000)
    step = coder.encode(first, aim=Aim("bps", 1.5)).metadata["step"]
    lmbda = (FINEST * coder.model.gain / step) ** 2 / coder.model.transform.ratio
    start = time.process_time()
    data = coder.compress(minute, aim=Aim("lmbda", lmbda))
    middle = time.process_time()
    coder.decompress(data)
    end = time.process_time()
    rate = 8 * len(data) / len(long)
    return (
        f"a minute of 48 kHz at {rate:.2f} bits per sample: processor time {middle - start:.2f} s "
        f"to encode, {end - middle:.2f} s to decode"
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="+", help="folders of runs of source=sounds")
    parser.add_argument("--root", help="source.root of the runs, where they have one")
    parser.add_argument("--audio", type=Path, help="folder of a sweep of source=audio")
    parser.add_argument("--rates", type=float, nargs="+", default=[1.0, 1.5, 2.0])
    options = parser.parse_args()
    source = Sounds(options.root)
    joined = np.concatenate([one.samples[:, 0] for one in source.test])
    payload = Payload("audio", {"audio": joined}, ".wav", source.sample_rate)
    curves: dict[str, Points] = {}
    for folder in options.runs:
        name = f"ltc {Path(folder).name}"
        curves[name] = with_run(folder, payload, options.rates)
        print(f"{name}: {seconds_of_a_minute(folder, payload)}", flush=True)
    if options.audio:
        found = [json.loads(path.read_text()) for path in options.audio.glob("*/metrics.json")]
        name = f"ltc audio, {found[0]['quantizer']}"
        curves[name] = [(one["bitstream_rate"], one["snr_db"]) for one in found]
    for name, (form, subtype, levels) in OTHERS.items():
        curves[name] = [
            with_libsndfile(joined, source.sample_rate, form, subtype, level) for level in levels
        ]
    columns = [f"{rate:g} bit{'s' * (rate != 1)}" for rate in options.rates]
    print(f"\n{len(source.test)} recordings, {len(joined)} samples; SNR in dB")
    print(f"| codec | {' | '.join(columns)} | bits: SNR |\n{'|---' * (len(columns) + 2)}|")
    for name, points in curves.items():
        rates, ratios = np.array(sorted(points)).T
        at = [np.interp(rate, rates, ratios, np.nan, np.nan) for rate in options.rates]
        cells = [f"{value:.2f}" if np.isfinite(value) else "" for value in at]
        only = "" if any(cells) else f"{rates[0]:.2f}: {ratios[0]:.1f}".replace("inf", "lossless")
        print(f"| {name} | {' | '.join(cells)} | {only} |")


if __name__ == "__main__":
    main()
