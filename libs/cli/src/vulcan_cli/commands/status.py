"""`vulcan status`."""

from vulcan_cli.common import COMMON, Common, connect
from vulcan_cli.output import facts, print_json
from vulcan_cli.text import ago, millis, size
from vulcan_contracts.views import WorkloadView


def status(workload: str, /, *, wait: bool = False, common: Common = COMMON) -> None:
    """Show one workload.

    Args:
        workload: Its id.
        wait: Wait for its end first.
        common: Options of every command.
    """
    with connect(common) as vulcan:
        view = vulcan.wait(workload) if wait else vulcan.get(workload)
    if common.json:
        print_json(view)
    else:
        facts(_facts(view))


def _facts(view: WorkloadView) -> list[tuple[str, object]]:
    usage, timings = view.usage, view.timings
    asked = f" (asked for {view.isolation})" if view.backend and view.isolation != view.backend else ""
    return [
        ("id", view.id),
        ("state", view.state),
        ("reason", view.reason),
        ("message", view.message),
        ("exit code", view.exit_code),
        ("signal", view.signal),
        ("waits because", view.pending_reason),
        ("place in queue", view.queue_position),
        ("kill requested", "yes" if view.kill_requested and view.ended_at is None else ""),
        ("deleted", "yes" if view.deleted else ""),
        ("isolation", f"{view.backend or view.isolation}{asked}"),
        ("chosen because", view.isolation_reason),
        ("runtime", view.runtime),
        ("source", view.source_type),
        ("image digest", view.image_digest),
        ("node", view.node),
        ("attempt", f"{view.attempt} of {view.spec.retry.max_attempts}" if view.spec.retry.max_attempts > 1 else ""),
        ("priority", view.priority or ""),
        ("labels", ", ".join(f"{name}={value}" for name, value in view.labels.items())),
        ("submitted", f"{view.submitted_at:%Y-%m-%d %H:%M:%S} UTC, {ago(view.submitted_at)} ago"),
        ("queued", millis(timings.queued_ms) if timings.queued_ms is not None else ""),
        ("sandbox ready", millis(timings.sandbox_ready_ms) if timings.sandbox_ready_ms is not None else ""),
        ("first output", millis(timings.first_output_ms) if timings.first_output_ms is not None else ""),
        ("run", millis(timings.run_ms) if timings.run_ms is not None else ""),
        ("total", millis(timings.total_ms) if timings.total_ms is not None else ""),
        ("CPU time", millis(usage.cpu_ms) if usage and usage.cpu_ms is not None else ""),
        ("peak memory", size(usage.max_memory_bytes) if usage and usage.max_memory_bytes is not None else ""),
        ("output", size(usage.output_bytes) if usage else ""),
        ("artifacts", ", ".join(artifact.name for artifact in view.artifacts)),
        ("replay of", view.replay_of),
        ("trace", view.trace_id),
    ]
