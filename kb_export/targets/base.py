"""The seam to knowledge bases: what every target can do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from kb_export.record import KBRecord


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a target can promise.

    Attributes:
        conditional_put: two writers of one key cannot both win; None = not known yet.
        checksums: the store refuses bytes that were damaged on the way.
        pages: people can open the knowledge base and read it.
        asynchronous: the platform indexes after `put` has returned, so `wait` matters.
    """

    conditional_put: bool | None
    checksums: bool
    pages: bool
    asynchronous: bool = False


class KBTarget(Protocol):
    """A knowledge base. Every method may be repeated after a crash with the same outcome."""

    @property
    def name(self) -> str:
        """The full name, as `open_target` takes it; names the target in the outbox."""

    @property
    def label(self) -> str:
        """A short name that is safe to show to anybody (no server paths)."""

    @property
    def capabilities(self) -> Capabilities:
        """What this target can promise, as far as it is known."""

    def put(self, record: KBRecord, image: bytes) -> None:
        """Make `record` the one record of its picture: older versions of it go.

        Returns only when it is durable. A record that is already there is left as it is.

        Raises:
            RecordRefused: this record can never be taken as it is.
            TargetUnavailable: the target as a whole cannot be used now.
        """

    def delete(self, sha256: str) -> None:
        """Remove the picture with this hash and every record of it; none there is no error.

        Raises:
            TargetUnavailable: the target as a whole cannot be used now.
        """

    def list_ids(self) -> frozenset[str]:
        """Return the ids of all records there.

        Raises:
            TargetUnavailable: the target as a whole cannot be used now.
        """

    def flush(self) -> None:
        """Bring what is derived from all records (manifest, start page) up to date."""

    def wait(self, timeout_s: float) -> None:
        """Block until everything this object has put can be found.

        Targets whose `put` is all there is return at once.

        Raises:
            NotIndexed: the platform will never index some of it; the rest can be found.
            TargetUnavailable: it is not done after `timeout_s` seconds, or cannot be asked.
        """
