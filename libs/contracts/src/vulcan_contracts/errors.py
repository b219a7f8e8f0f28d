"""Refusals of the domain. Each docstring is the message's first half; the code is stable and part of the API."""


class DomainError(Exception):
    """A command that the workload's state does not allow."""

    code = "illegal_transition"


class IllegalTransition(DomainError):
    """The workload is not in a state in which this can happen."""


class NotYours(DomainError):
    """Another executor, or another life of this one, holds the attempt."""

    code = "not_yours"


class IdempotencyMismatch(DomainError):
    """The idempotency key was used before, with another body."""

    code = "idempotency_mismatch"


class UnknownWorkload(DomainError):
    """There is no such workload."""

    code = "not_found"


class CorruptLog(Exception):
    """The events of a workload do not follow one another; never the user's fault and never expected."""
