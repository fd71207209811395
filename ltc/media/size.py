"""How much memory a file may ask for: checked against its header, before anything is read."""

from ltc.errors import InputError

__all__ = ["LARGEST", "PIECE", "check_size"]

# Bytes of numbers that a file may hold unless more are allowed.
LARGEST = 1 << 30
# Numbers that are worked on at once where all of them need not be.
PIECE = 1 << 20


def check_size(size: int, largest: int) -> None:
    """Refuse what would take more memory than allowed.

    Arguments:
        size: bytes of a file's numbers in memory.
        largest: bytes that they may take.

    Raises:
        InputError: they would take more.

    Example:
        >>> check_size(100, LARGEST)
    """
    if size > largest:
        raise InputError(
            f"the file's numbers take {size:,} bytes, more than the {largest:,} that are allowed; "
            "cut it in parts, or raise the limit with --largest"
        )
