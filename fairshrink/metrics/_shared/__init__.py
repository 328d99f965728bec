"""What two or more metrics share; never found as a metric."""
