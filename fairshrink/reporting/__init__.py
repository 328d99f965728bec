"""Tables, figures and report, made from the results; never imports torch."""
