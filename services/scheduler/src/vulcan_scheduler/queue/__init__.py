"""The scheduler's queue, as others see it."""
