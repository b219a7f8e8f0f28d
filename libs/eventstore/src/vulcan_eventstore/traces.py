"""The W3C trace context of whoever writes, as it travels in envelopes and headers."""

from typing import Final

from opentelemetry import trace

TRACEPARENT: Final = "traceparent"


def current_traceparent() -> str | None:
    """The `traceparent` of the current span, or None outside of one."""
    context = trace.get_current_span().get_span_context()
    if not context.is_valid:
        return None
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"
