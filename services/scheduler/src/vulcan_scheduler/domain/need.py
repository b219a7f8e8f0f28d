"""What a workload needs from a node. Workloads with the same need are interchangeable for placement."""

from msgspec import Struct

from vulcan_contracts.spec import ImageSource, Isolation, Runtime, Spec
from vulcan_scheduler.domain.amounts import Amount, of_resources


class Need(Struct, frozen=True, kw_only=True, omit_defaults=True, cache_hash=True):
    """The part of a spec that routing and placement look at."""

    isolation: Isolation
    cpu_milli: int
    memory_mb: int
    runtime: Runtime | None = None
    image: str | None = None
    egress: bool = False

    @property
    def amount(self) -> Amount:
        """What one run takes of a node."""
        return Amount(self.cpu_milli, self.memory_mb, 1)

    @property
    def what(self) -> str:
        """What is to run, in words."""
        subject = "an OCI image" if self.image is not None else self.runtime or "code"
        return f"{subject} {'with' if self.egress else 'without'} network"

    @property
    def size(self) -> str:
        """How much it takes, in words."""
        return f"{self.cpu_milli / 1000:g} cpus and {self.memory_mb} MiB"


def need_of(spec: Spec) -> Need:
    """What this spec needs."""
    amount = of_resources(spec.resources)
    image = spec.source.image if isinstance(spec.source, ImageSource) else None
    return Need(
        isolation=spec.isolation,
        cpu_milli=amount.cpu_milli,
        memory_mb=amount.memory_mb,
        runtime=None if image is not None else spec.runtime,
        image=image,
        egress=spec.network.egress != "none",
    )
