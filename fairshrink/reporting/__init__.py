"""From numbers to what people read: tables, figures, report; never imports torch."""
