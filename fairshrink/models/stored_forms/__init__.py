"""Forms in which compressed models are stored that their config does not describe: a module each, found by its name."""
