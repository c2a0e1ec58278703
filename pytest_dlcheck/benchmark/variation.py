"""What may differ between two runs of one workload, as `name=value`. Imports no framework and no numpy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from pytest_dlcheck.errors import DlcheckError

__all__ = ["KNOWN", "Variation"]

KNOWN = ("batch", "dtype", "jit", "steps_per_execution")
WORDS = {"true": True, "false": False, "auto": "auto"}


def _number_or_text(value: str) -> int | float | str:
    if value.lstrip("-").isdecimal():
        return int(value)
    try:
        return float(value)
    except ValueError:
        return value


@dataclass(frozen=True)
class Variation:
    """How a workload is run; None leaves it as the workload has it.

    Attributes:
        batch: samples in a step.
        dtype: Keras's policy, by name, set before the model is made: `float32`, `mixed_bfloat16`.
        jit: `compile`'s `jit_compile`: True, False or `auto`.
        steps_per_execution: `compile`'s.
        more: arguments by name for the function of a workload of the user's own.
    """

    batch: int | None = None
    dtype: str | None = None
    jit: bool | str | None = None
    steps_per_execution: int | None = None
    more: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def parse(cls, texts: Sequence[str]) -> Variation:
        """From `name=value`, each name once.

        Raises:
            DlcheckError: one is written otherwise, or has a value that it cannot have.
        """
        found: dict[str, Any] = {}
        more: dict[str, Any] = {}
        for text in texts:
            name, equals, value = text.partition("=")
            if not equals or not name.isidentifier() or not value:
                names = f"{', '.join(KNOWN)}, or your workload's"
                raise DlcheckError(f"an option is written name=value, not {text!r} (names: {names})")
            if name in found or name in more:
                raise DlcheckError(f"option {name!r} is given twice")
            if name in ("batch", "steps_per_execution"):
                if not value.isdecimal() or int(value) < 1:
                    raise DlcheckError(f"option {name!r} takes a positive integer, not {value!r}")
                found[name] = int(value)
            elif name == "jit":
                if value not in WORDS:
                    raise DlcheckError(f"option 'jit' takes true, false or auto, not {value!r}")
                found[name] = WORDS[value]
            elif name == "dtype":
                found[name] = value
            else:
                more[name] = _number_or_text(value)
        return cls(**found, more=more)

    def dump(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def load(cls, values: Mapping[str, Any]) -> Variation:
        """What `dump` made, perhaps by way of JSON."""
        return cls(**values)

    def given(self) -> dict[str, Any]:
        """Those that are set, by name."""
        own = {name: getattr(self, name) for name in KNOWN if getattr(self, name) is not None}
        return {**own, **self.more}

    def unlike(self, other: Variation) -> tuple[str, str]:
        """What differs between two, in words: of this one, and of the other."""
        mine, theirs = self.given(), other.given()
        names = [name for name in {**mine, **theirs} if mine.get(name) != theirs.get(name)]
        one, two = (", ".join(f"{n}={str(v.get(n, 'unset')).lower()}" for n in names) for v in (mine, theirs))
        return one, two

    def __str__(self) -> str:
        return ", ".join(f"{name}={str(value).lower()}" for name, value in self.given().items())
