"""The five stages of the workflow: each takes the entries of a plan's job and makes their artifacts."""
