"""What every service needs around its work: settings, lifecycle, health, metrics, traces, logs, problem details."""
