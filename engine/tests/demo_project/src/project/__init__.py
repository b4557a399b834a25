"""The project: its columns, features, metrics and kinds of model."""
