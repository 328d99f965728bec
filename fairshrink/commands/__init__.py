"""The command `fairshrink`: a module for each subcommand, found by its file's name."""
