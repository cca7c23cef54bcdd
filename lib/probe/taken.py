"""What a probe took for a token, and what for rounding: every result says it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Taken:
    """What a probe took for a token, and what it took for rounding.

    `shape` of x, `axis` of its tokens, their number `tokens`, and what said so (`source`). `inside`: the dtype in
    which the function computes, where that is coarser than what goes in and comes out, else ""; `tolerance`: the
    share of an output that passes for rounding; `far_larger`: an output that stands out, in words, or "".
    """

    shape: tuple[int, ...]
    axis: int
    tokens: int
    source: str = ""
    inside: str = ""
    tolerance: float = 0.0
    far_larger: str = ""

    def __str__(self) -> str:
        tokens = f"{self.tokens} token{'' if self.tokens == 1 else 's'}"
        source = f", from {self.source}" if self.source == "batch_first=False" else ""
        return f"{tokens} on axis {self.axis} of {self.shape}{source}"

    @property
    def too_few(self) -> str:
        """Why nothing could be seen, in words; "" where it could."""
        if self.tokens > 1 and 0 in self.shape:
            return f"Nothing was tried: x of shape {self.shape} holds no numbers."
        if self.tokens > 1:
            return ""
        return (
            f"Nothing was tried: x has {self}, and it takes two for one to read the other. "
            f"Are the tokens on another axis? Say which: axis=…"
        )

    @property
    def remarks(self) -> list[str]:
        """Sentences about how exactly the probe could look."""
        told = []
        if self.inside:
            told.append(
                f"It computes in {self.inside} inside, so up to {100 * self.tolerance:.3g} % of an output passes for "
                f"rounding."
            )
        if self.far_larger:
            told.append(f"One output is far larger than most: {self.far_larger}.")
        return told
