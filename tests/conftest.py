"""What holds for every test: in CI nothing is skipped, and Ctrl-C reaches what a test starts."""

import os
import signal
from collections.abc import Generator

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Set up what holds for the whole run."""
    # A run in the background of a shell script inherits an ignored SIGINT, and so would every program it starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if os.environ.get("CI"):
        config.pluginmanager.register(NothingSkipped())


class NothingSkipped:
    """A test that is skipped has not shown anything; a machine that runs CI can run them all."""

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Turn a skip into a failure that repeats its reason."""
        report = yield
        if report.skipped and not hasattr(report, "wasxfail"):
            report.outcome = "failed"
            report.longrepr = f"skipped in CI: {report.longrepr}"
        return report
