"""Seeds of controls: several random draws of one control for the same baseline."""

from __future__ import annotations

from pydantic import Field

from fairshrink.settings import Settings

ABOUT = "seed of the control, besides the split's; a list gives one checkpoint for each"


class SeededSettings(Settings):
    """Which draw of a control."""

    control_seed: int = Field(0, ge=0, description=ABOUT)


def combined(seed: int, control_seed: int, level: float = 0.0) -> int:
    """One 32-bit seed from the split's, the control's and how much it damages; different ones give independent draws.

    Levels too: controls of several levels are compared with a compression as so many independent damages.
    """
    import numpy as np

    bits = int(np.float64(level).view(np.int64))
    return int(np.random.SeedSequence([seed, control_seed, bits]).generate_state(1)[0])
