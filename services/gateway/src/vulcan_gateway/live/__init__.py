"""What is heard as it happens, and its fan-out to this process's readers."""
