"""Pages generated from the code: the study reference and the gallery of methods and metrics."""
