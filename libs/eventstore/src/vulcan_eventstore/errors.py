"""What can go wrong between a caller and the event store. Refusals of the domain are in `vulcan_contracts.errors`."""


class EventStoreError(Exception):
    """The event store could not do what was asked."""


class EventStoreUnavailableError(EventStoreError):
    """NATS did not answer in time. What was asked may have happened or may not."""


class NobodyListensError(EventStoreUnavailableError):
    """The server knows of nobody who would answer."""


class BusClosedError(EventStoreUnavailableError):
    """The connection to NATS was closed for good; only a new one helps."""


class IncompatibleServerError(EventStoreError):
    """This NATS server lacks what the event store relies on."""


class ApiError(EventStoreError):
    """JetStream refused a request; `err_code` says why (https://github.com/nats-io/nats-server/blob/main/server/errors.json)."""

    def __init__(self, code: int, err_code: int, description: str) -> None:
        super().__init__(f"{description} ({code}/{err_code})")
        self.code = code
        self.err_code = err_code
        self.description = description


class StaleWriteError(ApiError):
    """The fence did not hold: somebody wrote to the subject in between."""


class PayloadTooLargeError(EventStoreError):
    """The message is larger than the server takes."""


class PositionLostError(EventStoreError):
    """The stream is not the one that the position was taken from: it ends before it, or was made anew."""


class LogFencedError(EventStoreError):
    """Another writer took over the workload's log; nothing more may be written by this one."""


class KeyExistsError(EventStoreError):
    """The bucket holds this key already."""


class RevisionConflictError(EventStoreError):
    """The key changed since it was read."""


class BlobNotFoundError(EventStoreError):
    """There is no blob of this name."""


class BlobCorruptError(EventStoreError):
    """The stored chunks are not the blob that its description promises."""


class BlobTooLargeError(EventStoreError):
    """The content exceeds the size allowed for it."""
