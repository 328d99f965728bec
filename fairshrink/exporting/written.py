"""What an export hands back."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Written:
    """A model that was written and compared. ``form``: for the model card; ``said``: for whoever asked for it."""

    form: str
    said: str
