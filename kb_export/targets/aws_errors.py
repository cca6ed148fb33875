"""Errors of Amazon's services, and of stores that speak S3, as this package's own."""

from __future__ import annotations

from collections.abc import Mapping

from kb_export.errors import TargetUnavailable


def answered(name: str, code: str, configuration: Mapping[str, str]) -> TargetUnavailable:
    """Return what an error code means for an export.

    Args:
        name: the target's.
        code: the service's word.
        configuration: what to do about the codes that no waiting cures.
    """
    return TargetUnavailable(
        f"{name} answered {code}.",
        hint=configuration.get(code, "Export again later; nothing is lost."),
        retryable=code not in configuration,
    )


def unreachable(name: str, error: Exception) -> TargetUnavailable:
    """Return that there was no answer."""
    return TargetUnavailable(
        f"{name} cannot be reached ({type(error).__name__}).",
        hint="Check the network and the endpoint, then export again; nothing is lost.",
    )
