"""What this repository is about: its columns, and its kinds of model."""
