"""Answers to "why?": what a run would restore and compute, for which reason, how long; where a number is from."""
