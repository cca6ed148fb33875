"""Which waiting forwards run next: pure Python, no torch, no clock of its own.

Policy: shortest remaining work first, `interactive` before `batch`, and aging: a call that has
waited longer than its class allows is served before all that have not, oldest first. Calls with
equal keys share a forward: up to the key's knee, where more rows hardly get cheaper and only delay
the first; up to its limit if they have about as much left as the first, for whom the time that
sharing saves comes back.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass

from engine.request import Priority

# A call waits at most this long, plus the forwards that other overdue calls need before it.
MAX_WAIT_S: dict[Priority, float] = {"interactive": 1.0, "batch": 4.0}


# Beyond the knee only runs join that have at most this many times the work left of the first.
_PEERS = 2.0


@dataclass(frozen=True, slots=True)
class RowCaps:
    """How many rows a forward should have.

    Attributes:
        knee: where a row is hardly cheaper in a larger batch.
        limit: what memory allows; at least the knee.
    """

    knee: int
    limit: int


@dataclass(frozen=True, slots=True)
class Call:
    """One parked call of a network.

    Attributes:
        call_id: names it; unique.
        run_id: the run that waits for it.
        key: calls with equal keys may share a forward; None shares with nobody.
        rows: samples in its batch, at least 1.
        parked_at: when it began to wait, seconds on the clock of `next_group`'s `now`.
        remaining_s: estimated work left in its run, this call included.
        priority: "interactive" or "batch".
    """

    call_id: int
    run_id: int
    key: Hashable
    rows: int
    parked_at: float
    remaining_s: float
    priority: Priority = "interactive"


class Scheduler:
    """Keep parked calls and choose groups of them.

    Args:
        row_caps: of a key. A call that alone has more rows runs alone.
    """

    def __init__(self, row_caps: Callable[[Hashable], RowCaps]) -> None:
        self._row_caps = row_caps
        self._waiting: dict[int, Call] = {}
        self._holder: int | None = None

    def __len__(self) -> int:
        return len(self._waiting)

    def park(self, call: Call) -> None:
        """Add a call.

        Raises:
            ValueError: if its id is here already or it has no rows.
        """
        if call.call_id in self._waiting:
            raise ValueError(f"call {call.call_id} is parked already")
        if call.rows < 1:
            raise ValueError(f"call {call.call_id} has {call.rows} rows")
        self._waiting[call.call_id] = call

    def remove(self, call_id: int) -> Call | None:
        """Take a call out, if it is here; it will be in no group."""
        return self._waiting.pop(call_id, None)

    def hold(self, run_id: int) -> None:
        """From now on choose calls of this run only, until `release`.

        For runs that keep state on shared modules (caches, offload hooks) between forwards.

        Raises:
            ValueError: if another run holds.
        """
        if self._holder not in (None, run_id):
            raise ValueError(f"run {self._holder} holds already")
        self._holder = run_id

    def release(self, run_id: int) -> None:
        """End `hold`; nothing happens if this run does not hold."""
        if self._holder == run_id:
            self._holder = None

    @property
    def holder(self) -> int | None:
        """The run that holds, if one does."""
        return self._holder

    def ready(self) -> bool:
        """Whether `next_group` would return something."""
        return any(True for _ in self._eligible())

    def next_group(self, now: float) -> tuple[Call, ...]:
        """Take out and return the calls to run in one forward; empty if nothing may run.

        The first call decides; others of the same key join in the same order while they fit.
        """
        ranked = sorted(self._eligible(), key=lambda call: _rank(call, now))
        if not ranked:
            return ()
        first = ranked[0]
        group = [first]
        if first.key is not None:
            caps = self._row_caps(first.key)
            rows = first.rows
            for call in ranked[1:]:
                peer = call.remaining_s <= _PEERS * first.remaining_s
                cap = caps.limit if peer else caps.knee
                if call.key == first.key and rows + call.rows <= cap:
                    group.append(call)
                    rows += call.rows
        for call in group:
            del self._waiting[call.call_id]
        return tuple(group)

    def _eligible(self) -> Iterable[Call]:
        if self._holder is None:
            return self._waiting.values()
        return (call for call in self._waiting.values() if call.run_id == self._holder)


def _rank(call: Call, now: float) -> tuple[int, int, float, int]:
    """Order of service: overdue calls by age; then by class and remaining work."""
    overdue_by = (now - call.parked_at) - MAX_WAIT_S[call.priority]
    if overdue_by >= 0:
        return (0, 0, -overdue_by, call.call_id)
    return (1, int(call.priority == "batch"), call.remaining_s, call.call_id)
