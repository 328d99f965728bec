"""The formats that `fairshrink export` writes: a module for each, found by its file's name."""
