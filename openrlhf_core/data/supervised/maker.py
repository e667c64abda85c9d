"""What a maker of samples is, and how it makes those of a few rows at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
from jaxtyping import Bool, Int32

from openrlhf_core.data.chat_masks import MarkedText
from openrlhf_core.data.chat_template import RENDER_ERRORS
from openrlhf_core.data.encoding import Encoder
from openrlhf_core.data.reading.rows import BadRow, Row
from openrlhf_core.data.supervised.renderer import TextRenderer

S = TypeVar("S")
S_co = TypeVar("S_co", covariant=True)


@dataclass(frozen=True, eq=False)
class Encoded:
    """A marked text as tokens. Made by `make_samples`, read by makers."""

    token_ids: Int32[np.ndarray, "seq"]
    loss_mask: Bool[np.ndarray, "seq"]

    def cut(self, max_length: int) -> "Encoded | None":
        """The first `max_length` tokens; None when no trained token is among them."""
        mask = self.loss_mask[:max_length]
        return Encoded(self.token_ids[:max_length], mask) if mask.any() else None


class SampleMaker(Protocol[S_co]):
    """Turns rows of one form into samples. A frozen dataclass: it is sent to other processes."""

    @property
    def sample_type(self) -> type[S_co]:
        """The class of the samples."""

    @property
    def renderer(self) -> TextRenderer:
        """How rows become texts."""

    @property
    def settings(self) -> dict[str, Any]:
        """What decides the samples, besides rows, renderer and length, as JSON."""

    def texts(self, row: Row) -> tuple[MarkedText, ...]:
        """The texts of a row; one of `RENDER_ERRORS` says what is wrong with it."""

    def sample(self, row: Row, encoded: Sequence[Encoded], max_length: int) -> S_co | None:
        """The sample, of the texts as tokens, cut to `max_length`.

        None: it is so long that nothing is left to train on. ValueError: what is wrong with it.
        """


def make_samples(
    maker: SampleMaker[S], encoder: Encoder, rows: Sequence[Row | BadRow], max_length: int
) -> list[S | BadRow | None]:
    """For each row its sample, None when nothing of it fits, or what is wrong with it."""
    texts = [row if isinstance(row, BadRow) else _texts(maker, row) for row in rows]
    flat = [text for found in texts if not isinstance(found, BadRow) for text in found]
    tokens = encoder.encode_marked(flat, add_prefix=not maker.renderer.apply_chat_template)
    encoded = iter(tokens)
    made: list[S | BadRow | None] = []
    for row, found in zip(rows, texts, strict=True):
        if isinstance(found, BadRow):
            made.append(found)
        elif isinstance(row, dict):
            parts = [Encoded(*next(encoded)) for _ in found]
            made.append(_sample(maker, encoder, row, parts, max_length))
    return made


def _texts(maker: SampleMaker[S], row: Row) -> tuple[MarkedText, ...] | BadRow:
    try:
        return maker.texts(row)
    except RENDER_ERRORS as error:
        return BadRow(f"cannot be used: {error}")


def _sample(
    maker: SampleMaker[S], encoder: Encoder, row: Row, parts: list[Encoded], max_length: int
) -> S | BadRow | None:
    for part in parts:
        unknown = encoder.unknown_token(part.token_ids)
        if unknown is not None:
            return BadRow(f"cannot be used: {unknown}")
    try:
        return maker.sample(row, parts, max_length)
    except ValueError as error:
        return BadRow(f"cannot be used: {error}")
