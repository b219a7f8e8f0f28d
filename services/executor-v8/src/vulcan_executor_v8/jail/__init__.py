"""What stands between user code and the machine: bubblewrap, seccomp, resource limits."""
