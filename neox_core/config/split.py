"""What `split` says: the shares of training, validation and test among the documents."""

from __future__ import annotations


def parse_split(text: str) -> tuple[float, float, float]:
    """The parts for training, validation and test, in any unit, of a text such as "969, 30, 1" or "969/30/1".

    Missing parts are 0, and further ones are ignored, as in GPT-NeoX.

    Raises:
        ValueError: it is none; the message says what is.
    """
    try:
        given = [float(part) for part in text.split("," if "," in text else "/")]
    except ValueError:
        given = []
    train, valid, test = [*given, 0.0, 0.0, 0.0][:3]
    if not 0 < train + valid + test < float("inf") or min(train, valid, test) < 0:
        raise ValueError(
            "it takes up to three numbers that are not negative and not all zero: training, validation, test, such as "
            "'969, 30, 1'"
        )
    return train, valid, test
