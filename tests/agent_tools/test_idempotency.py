"""Idempotency keys: once is once, through failures, cancels, callers and other processes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent_tools.callers import acting_as
from agent_tools.errors import AgentToolsError, InvalidArguments, Overloaded
from agent_tools.gallery import Gallery
from agent_tools.idempotency import Idempotency, seed_of
from agent_tools.process_mark import ProcessMark

pytestmark = pytest.mark.anyio


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def gallery(tmp_path: Path) -> Iterator[Gallery]:
    opened = Gallery(tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def idempotency(gallery: Gallery, clock: Clock) -> Iterator[Idempotency]:
    mark = ProcessMark(gallery.data_dir / "processes")
    yield Idempotency(gallery, mark, clock=clock)
    mark.close()


class Work:
    """Count how often it is done; wait for the gate; fail if told to."""

    def __init__(self) -> None:
        self.times = 0
        self.cancelled = 0
        self.gate = asyncio.Event()
        self.fails = False

    async def __call__(self) -> dict[str, Any]:
        self.times += 1
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.fails:
            raise RuntimeError("no luck")
        return {"time": self.times}


async def turns(count: int = 20) -> None:
    """Let everything that can go on do so."""
    for _ in range(count):
        await asyncio.sleep(0)


def rows(gallery: Gallery) -> int:
    return int(gallery.connection.execute("SELECT count(*) FROM idempotency").fetchone()[0])


async def test_twenty_calls_at_once_are_done_once(idempotency: Idempotency) -> None:
    work = Work()
    calls = [asyncio.create_task(idempotency.once("k", {"a": 1}, work)) for _ in range(20)]
    await turns()
    work.gate.set()
    assert await asyncio.gather(*calls) == [{"time": 1}] * 20
    assert await idempotency.once("k", {"a": 1}, work) == {"time": 1}
    assert await idempotency.once("other", {"a": 1}, work) == {"time": 2}


async def test_the_order_of_what_was_said_does_not_matter_but_its_content_does(
    idempotency: Idempotency,
) -> None:
    work = Work()
    work.gate.set()
    await idempotency.once("k", {"a": 1, "b": 2}, work)
    await idempotency.once("k", {"b": 2, "a": 1}, work)
    for other in ({"a": 1}, {"a": 1, "b": 3}, None, []):
        with pytest.raises(AgentToolsError) as caught:
            await idempotency.once("k", other, work)
        assert caught.value.code == "idempotency_conflict"
        assert "new key" in caught.value.hint
    assert work.times == 1


async def test_a_conflict_is_noticed_while_the_first_is_under_way(idempotency: Idempotency) -> None:
    work = Work()
    first = asyncio.create_task(idempotency.once("k", 1, work))
    await turns()
    with pytest.raises(AgentToolsError, match="another call"):
        await idempotency.once("k", 2, work)
    work.gate.set()
    assert await first == {"time": 1}


async def test_callers_with_the_same_key_never_meet(idempotency: Idempotency) -> None:
    work = Work()
    work.gate.set()
    for caller in ("ada", "bob", None):
        with acting_as(caller):
            await idempotency.once("k", caller, work)
    assert work.times == 3
    with acting_as("bob"):
        assert await idempotency.once("k", "bob", work) == {"time": 2}


async def test_what_fails_or_is_declined_may_be_tried_again(
    idempotency: Idempotency, gallery: Gallery
) -> None:
    work = Work()
    work.gate.set()
    work.fails = True
    with pytest.raises(RuntimeError):
        await idempotency.once("k", 1, work)
    await turns()
    assert rows(gallery) == 0
    work.fails = False
    assert await idempotency.once("k", 1, work, lambda _: False) == {"time": 2}
    await turns()
    assert await idempotency.once("k", 1, work) == {"time": 3}
    assert await idempotency.once("k", 1, work) == {"time": 3}


async def test_one_that_leaves_takes_nothing_from_the_other_but_the_last_stops_it(
    idempotency: Idempotency, gallery: Gallery
) -> None:
    work = Work()
    first, second = (asyncio.create_task(idempotency.once("k", 1, work)) for _ in range(2))
    await turns()
    first.cancel()
    await turns()
    assert (work.times, work.cancelled) == (1, 0)
    second.cancel()
    third = asyncio.create_task(idempotency.once("k", 1, work))
    await turns()
    assert (work.times, work.cancelled) == (2, 1)
    work.gate.set()
    assert await third == {"time": 2}
    assert rows(gallery) == 1


async def test_a_call_that_is_cancelled_before_it_began_leaves_nothing(
    idempotency: Idempotency, gallery: Gallery
) -> None:
    work = Work()
    shared = await idempotency.begin("k", 1, lambda _: work())
    shared.cancel()
    await shared.settled()
    await turns()
    assert (work.times, rows(gallery)) == (0, 0)


async def test_results_are_kept_for_a_day(
    idempotency: Idempotency, clock: Clock, gallery: Gallery
) -> None:
    work = Work()
    work.gate.set()
    await idempotency.once("k", 1, work)
    clock.now += 24 * 3600
    assert await idempotency.once("k", 1, work) == {"time": 1}
    clock.now += 1
    assert await idempotency.once("k", 2, work) == {"time": 2}
    assert rows(gallery) == 1


@pytest.mark.parametrize("key", ["", "x" * 256, "a\nb", "schlüssel", "\x00", None, 7, ["k"]])
async def test_a_malformed_key_is_refused(key: Any, idempotency: Idempotency) -> None:
    work = Work()
    with pytest.raises(InvalidArguments):
        await idempotency.once(key, 1, work)
    assert work.times == 0


async def test_another_process_that_does_it_is_not_disturbed_and_a_dead_one_is_replaced(
    idempotency: Idempotency, gallery: Gallery
) -> None:
    work = Work()
    other = Gallery(gallery.data_dir)
    mark = ProcessMark(gallery.data_dir / "processes")
    theirs = asyncio.create_task(Idempotency(other, mark, clock=Clock()).once("k", 1, work))
    await turns()
    with pytest.raises(Overloaded) as caught:
        await idempotency.once("k", 1, work)
    assert caught.value.data["retry_after_s"] > 0
    mark.close()  # as the operating system does for a process that dies
    mine = asyncio.create_task(idempotency.once("k", 1, work))
    await turns()
    assert work.times == 2
    work.gate.set()
    assert await mine == {"time": 2}
    await theirs
    other.close()


def test_a_key_has_one_seed_for_a_caller_and_another_for_another() -> None:
    with acting_as("ada"):
        hers = seed_of("k")
        assert seed_of("k") == hers != seed_of("l")
    with acting_as("bob"):
        assert seed_of("k") != hers
    assert 0 <= hers < 2**32
