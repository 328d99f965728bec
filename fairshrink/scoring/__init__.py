"""One model scored by one metric, without a study."""
