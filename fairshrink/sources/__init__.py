"""Where downloads come from: one module per kind of source.

Each has ``Settings`` (what the study specifies), ``pin(settings)`` (what identifies the contents, for the key) and
``fetch(settings, target, cache)`` (fills an empty folder, returns what the provenance record keeps). Nothing that is
fetched is ever executed or unpickled.
"""
