"""Seeds of controls: several random draws of one control for the same baseline."""

from __future__ import annotations

from pydantic import Field

from fairshrink.settings import Settings

ABOUT = "seed of the control, besides the split's; a list gives one checkpoint for each"


class SeededSettings(Settings):
    """Which draw of a control."""

    control_seed: int = Field(0, ge=0, description=ABOUT)


def combined(seed: int, control_seed: int) -> int:
    """One 32-bit seed from the split's and the control's; different pairs give independent draws."""
    import numpy as np

    return int(np.random.SeedSequence([seed, control_seed]).generate_state(1)[0])
