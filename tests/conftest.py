"""What holds for every test: in CI nothing is skipped."""

import os
from collections.abc import Generator

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Load the gate that turns skips into failures, in CI."""
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
