"""The order of forwards: nothing is lost, nothing starves, the cap holds, whatever happens."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from engine.cost import CostCurve
from engine.scheduler import MAX_WAIT_S, Call, RowCaps, Scheduler

CAPS = {"small": RowCaps(2, 4), "large": RowCaps(8, 12)}


def scheduler() -> Scheduler:
    return Scheduler(lambda key: CAPS[key])


def call(number: int, **changes: object) -> Call:
    values = {
        "call_id": number,
        "run_id": number,
        "key": "large",
        "rows": 2,
        "parked_at": 0.0,
        "remaining_s": 1.0,
    }
    return Call(**(values | changes))  # type: ignore[arg-type]


def ids(group: tuple[Call, ...]) -> list[int]:
    return [member.call_id for member in group]


def test_the_scheduler_loads_no_torch() -> None:
    program = (
        "import sys, engine.scheduler, engine.cost, engine.admission; print('torch' in sys.modules)"
    )
    output = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert output.stdout == "False\n"


def test_the_run_with_the_least_left_goes_first_and_equal_keys_join_it() -> None:
    waiting = scheduler()
    waiting.park(call(1, remaining_s=9.0))
    waiting.park(call(2, remaining_s=0.5, rows=1))
    waiting.park(call(3, remaining_s=3.0, key="small"))
    waiting.park(call(4, remaining_s=2.0))
    assert ids(waiting.next_group(0.1)) == [2, 4, 1]
    assert ids(waiting.next_group(0.1)) == [3]
    assert waiting.next_group(0.1) == ()


def test_peers_join_up_to_the_limit_and_longer_ones_up_to_the_knee() -> None:
    waiting = scheduler()
    for number in range(6):
        waiting.park(call(number, rows=3, remaining_s=5.0 + number))
    assert ids(waiting.next_group(0.0)) == [0, 1, 2, 3], "12 rows"
    waiting.park(call(7, rows=3, remaining_s=0.5))
    assert ids(waiting.next_group(0.0)) == [7, 4], "6 rows of 8, not 9 of 12"


def test_a_call_with_more_rows_than_the_cap_runs_alone() -> None:
    waiting = scheduler()
    for number in range(2):
        waiting.park(call(number))
    waiting.park(call(9, rows=20, remaining_s=0.0))
    assert ids(waiting.next_group(0.0)) == [9]


def test_a_call_without_a_key_shares_with_nobody() -> None:
    waiting = scheduler()
    waiting.park(call(1, key=None, remaining_s=0.0))
    waiting.park(call(2, key=None, remaining_s=0.1))
    assert ids(waiting.next_group(0.0)) == [1]
    assert ids(waiting.next_group(0.0)) == [2]


def test_interactive_goes_before_batch_until_batch_is_overdue() -> None:
    waiting = scheduler()
    waiting.park(call(1, priority="batch", remaining_s=0.1, key="small"))
    waiting.park(call(2, remaining_s=50.0))
    assert ids(waiting.next_group(0.5)) == [2]
    late = MAX_WAIT_S["batch"] + 0.1
    waiting.park(call(3, remaining_s=0.1, parked_at=late - 0.1))
    assert ids(waiting.next_group(late)) == [1]


def test_while_a_run_holds_only_its_calls_are_chosen() -> None:
    waiting = scheduler()
    waiting.park(call(1, remaining_s=0.1))
    waiting.hold(2)
    assert not waiting.ready()
    waiting.park(call(2, remaining_s=9.0))
    assert ids(waiting.next_group(0.0)) == [2]
    with pytest.raises(ValueError, match="holds"):
        waiting.hold(3)
    waiting.release(3)
    assert not waiting.ready()
    waiting.release(2)
    assert ids(waiting.next_group(0.0)) == [1]


def test_a_call_cannot_be_parked_twice_or_without_rows() -> None:
    waiting = scheduler()
    waiting.park(call(1))
    with pytest.raises(ValueError, match="parked"):
        waiting.park(call(1))
    with pytest.raises(ValueError, match="rows"):
        waiting.park(call(2, rows=0))


FORWARD_S = 0.3


class Traffic(RuleBasedStateMachine):
    """Calls come, are cancelled, are served; each forward takes `FORWARD_S`."""

    calls = Bundle("calls")

    def __init__(self) -> None:
        super().__init__()
        self.scheduler = scheduler()
        self.now = 0.0
        self.waiting: dict[int, Call] = {}
        self.number = 0

    @rule(
        target=calls,
        key=st.sampled_from([*CAPS, None]),
        rows=st.integers(1, 10),
        remaining_s=st.floats(0, 1000),
        priority=st.sampled_from(["interactive", "batch"]),
    )
    def park(self, key, rows, remaining_s, priority) -> int:
        self.number += 1
        parked = Call(self.number, self.number, key, rows, self.now, remaining_s, priority)
        self.scheduler.park(parked)
        self.waiting[self.number] = parked
        return self.number

    @rule(number=consumes(calls))
    def cancel(self, number) -> None:
        removed = self.scheduler.remove(number)
        assert removed is self.waiting.pop(number, None)

    @rule(pause=st.floats(0, 3))
    def wait(self, pause) -> None:
        self.now += pause

    @rule()
    def serve(self) -> None:
        group = self.scheduler.next_group(self.now)
        assert bool(group) == bool(self.waiting), "work is never refused, never invented"
        if not group:
            return
        for member in group:
            assert self.waiting.pop(member.call_id) is member, "each exactly once"
        assert len({member.key for member in group}) == 1
        if len(group) > 1:
            assert sum(member.rows for member in group) <= CAPS[group[0].key].limit
        overdue = [c for c in self.waiting.values() if self._overdue(c) > 0]
        if overdue:
            oldest = max(self._overdue(c) for c in overdue)
            assert self._overdue(group[0]) >= oldest, "nobody overtakes the most overdue"
        self.now += FORWARD_S

    def _overdue(self, parked: Call) -> float:
        return self.now - parked.parked_at - MAX_WAIT_S[parked.priority]

    @invariant()
    def nothing_is_lost(self) -> None:
        assert len(self.scheduler) == len(self.waiting)

    def teardown(self) -> None:
        # However it stands: everybody is served within the bound that is promised.
        others = len(self.waiting)
        bound = max(MAX_WAIT_S.values()) + (others + 1) * FORWARD_S
        started = self.now
        while self.waiting:
            self.serve()
            # New short work keeps coming and must not starve what is here.
            if self.now - started < bound:
                self.number += 1
                self.scheduler.park(Call(self.number, 0, "small", 1, self.now, 0.0))
                newcomer = self.number
                self.waiting[newcomer] = self.scheduler._waiting[newcomer]
            for parked in self.waiting.values():
                if parked.run_id:
                    assert self.now - max(parked.parked_at, started) <= bound
        super().teardown()


TestTraffic = Traffic.TestCase
TestTraffic.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)


def test_the_cost_of_a_forward_is_interpolated_and_the_knee_is_found() -> None:
    curve = CostCurve({1: 0.04, 2: 0.06, 4: 0.1, 8: 0.2})
    assert curve.seconds(3) == pytest.approx(0.08)
    assert curve.seconds(16) == pytest.approx(0.4)
    assert curve.knee() == 4, "eight rows cost about as much per row as four"
    flat = CostCurve({1: 0.1, 2: 0.2, 4: 0.4})
    assert flat.knee() == 1, "where sharing gains nothing, the shortest goes alone"
    steep = CostCurve({1: 0.1, 2: 0.101, 8: 0.11})
    assert steep.knee() == steep.limit, "rows are nearly free"
    noisy = CostCurve({1: 0.055, 2: 0.061, 4: 0.1, 8: 0.2})
    assert 4 <= noisy.knee() <= 8
    assert CostCurve().knee() == CostCurve().limit
    with pytest.raises(ValueError, match="cannot be"):
        curve.observe(0, 1.0)


def test_a_curve_follows_what_it_sees() -> None:
    curve = CostCurve({2: 1.0})
    for _ in range(30):
        curve.observe(2, 0.1)
    assert curve.seconds(2) == pytest.approx(0.1, rel=0.01)
