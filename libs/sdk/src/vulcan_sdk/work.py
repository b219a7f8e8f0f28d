"""What is submitted: a spec, and the archive that travels beside it where its source is one."""

from msgspec import Struct

from vulcan_contracts.spec import Spec
from vulcan_sdk.archive import Archive


class Work(Struct, frozen=True, kw_only=True):
    """A spec that is ready to submit."""

    spec: Spec
    archive: Archive | None = None

    @classmethod
    def of(cls, what: "Spec | Work") -> "Work":
        """The same, also of a bare spec."""
        return what if isinstance(what, Work) else cls(spec=what)
