"""What several tests need: real servers, and little else."""
