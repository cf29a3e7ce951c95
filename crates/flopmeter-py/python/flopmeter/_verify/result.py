"""Both counts, side by side."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from html import escape
from typing import Any


@dataclass(frozen=True)
class Part:
    """A component, as flopmeter and as PyTorch count it, and why the two differ, where they do."""

    component: str
    ours: int
    counted: int
    why: str | None = None

    @property
    def difference(self) -> int:
        """What PyTorch's counter has more, or less where it is negative."""
        return self.counted - self.ours


@dataclass(frozen=True)
class Unseen:
    """An operation that PyTorch's counter has no formula for, though its name is that of a product, or somebody's own."""

    operation: str
    component: str
    calls: int


@dataclass(frozen=True, repr=False)
class Verification:
    """Both counts, by component. ``attention`` and ``experts`` are how transformers ran them."""

    model: str
    convention: str
    parts: tuple[Part, ...]
    unseen: tuple[Unseen, ...]
    attention: str | None
    experts: str | None
    notes: tuple[str, ...]

    @property
    def ours(self) -> int:
        """FLOPs by flopmeter."""
        return sum(part.ours for part in self.parts)

    @property
    def counted(self) -> int:
        """FLOPs by PyTorch's counter."""
        return sum(part.counted for part in self.parts)

    @property
    def difference(self) -> int:
        """What PyTorch's counter has more, or less where it is negative."""
        return self.counted - self.ours

    @property
    def equal(self) -> bool:
        """Whether all components are the same integers."""
        return all(part.difference == 0 for part in self.parts)

    def to_dict(self) -> dict[str, Any]:
        """The same as a dict."""
        totals = {"ours": self.ours, "counted": self.counted, "difference": self.difference, "equal": self.equal}
        return {**asdict(self), **totals}

    def _table(self) -> list[tuple[str, str, str, str, str]]:
        rows = [("FLOPs", "flopmeter", "PyTorch", "difference", "why")]
        for part in [*self.parts, Part("total", self.ours, self.counted)]:
            difference = f"{part.difference:+,}" if part.difference else "none"
            rows.append((part.component, f"{part.ours:,}", f"{part.counted:,}", difference, part.why or ""))
        return rows

    def __str__(self) -> str:
        rows = self._table()
        widths = [max(len(row[column]) for row in rows) for column in range(4)]
        name, *numbers = widths
        lines = [
            "  ".join([row[0].ljust(name), *map(str.rjust, row[1:4], numbers), row[4]]).rstrip() for row in rows
        ]
        notes = [f"note: {note}" for note in self.notes]
        return "\n".join([f"{self.model}; convention {self.convention}", "", *lines, *notes])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        head, *rows = ("".join(f"<td>{escape(cell)}</td>" for cell in row) for row in self._table())
        body = "".join(f"<tr>{row}</tr>" for row in rows)
        notes = "".join(f"<p>note: {escape(note)}</p>" for note in self.notes)
        caption = escape(f"{self.model}; convention {self.convention}")
        head = head.replace("td>", "th>")
        return f"<table><caption>{caption}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{notes}"
