"""Where samples come from, each source with its known facts."""

from ltc.sources.array import Array
from ltc.sources.audio import Audio
from ltc.sources.banana import Banana
from ltc.sources.base import Alphabet, FiniteSource, Source
from ltc.sources.correlated_vector import CorrelatedVector
from ltc.sources.iid import IIDGaussian, IIDLaplacian, IIDUniform
from ltc.sources.iid_bernoulli import IIDBernoulli
from ltc.sources.iid_mixture import IIDMixture
from ltc.sources.image_patches import ImagePatches
from ltc.sources.images import Images
from ltc.sources.pictures import PictureSource
from ltc.sources.sawbridge import Sawbridge
from ltc.sources.sounds import Sounds
from ltc.sources.speech_stft import SpeechSTFT

__all__ = [
    "Alphabet",
    "Array",
    "Audio",
    "Banana",
    "CorrelatedVector",
    "FiniteSource",
    "IIDBernoulli",
    "IIDGaussian",
    "IIDLaplacian",
    "IIDMixture",
    "IIDUniform",
    "ImagePatches",
    "Images",
    "PictureSource",
    "Sawbridge",
    "Sounds",
    "Source",
    "SpeechSTFT",
]
