"""Pictures, sounds and rows of numbers: read, written, cut into source vectors and joined again.

What comes back has the type that came in: grey or colour, 8 or 16 bits, the sample type of a
sound, shape and type of an array. What cannot be kept so is refused with one message.
"""

from ltc.media.arrays import read_archive, read_array, write_archive
from ltc.media.patches import patches
from ltc.media.payload import ARRAYS, IMAGES, SOUNDS, Payload
from ltc.media.pictures import read_picture, write_picture
from ltc.media.size import LARGEST
from ltc.media.sounds import SAMPLE_TYPES, read_sound, write_sound
from ltc.media.vectors import Vectors, vector_count

__all__ = [
    "ARRAYS",
    "IMAGES",
    "LARGEST",
    "SAMPLE_TYPES",
    "SOUNDS",
    "Payload",
    "Vectors",
    "patches",
    "read_archive",
    "read_array",
    "read_picture",
    "read_sound",
    "vector_count",
    "write_archive",
    "write_picture",
    "write_sound",
]
