"""`vulcan backends`."""

from vulcan_cli.common import COMMON, Common, connect
from vulcan_cli.output import facts, print_json, table, write_line
from vulcan_contracts.views import BackendView


def backends(*, common: Common = COMMON) -> None:
    """Show which isolations work, where, how full they are, and what is missing where one does not work."""
    with connect(common) as vulcan:
        found = vulcan.backends()
    if common.json:
        print_json({"items": found})
        return
    table(
        ("ISOLATION", "WORKS", "ENGINE", "SLOTS", "MEMORY MB", "NODES", "RUNTIMES"),
        [
            (
                view.isolation,
                "yes" if view.available else "no",
                view.report.engine if view.report else "",
                f"{view.used.slots}/{view.capacity.slots}" if view.available else "",
                f"{view.used.memory_mb}/{view.capacity.memory_mb}" if view.available else "",
                len(view.nodes) or "",
                ", ".join(view.report.runtimes) if view.report else "",
            )
            for view in found
        ],
    )
    for view in found:
        _remarks(view, verbose=common.verbose)


def _remarks(view: BackendView, *, verbose: bool) -> None:
    report = view.report
    remarks: list[tuple[str, object]] = []
    if not view.available:
        remarks += [("missing", view.unavailable_reason), ("what to do", view.hint)]
    if report is not None:
        remarks += [("warning", warning) for warning in report.warnings]
        if verbose:
            remarks += [("boundary", report.boundary), ("features", ", ".join(report.features))]
            remarks += sorted(report.details.items())
    if any(value for _, value in remarks):
        write_line(f"\n{view.isolation}")
        facts((f"  {name}", value) for name, value in remarks)
