"""What controls share; never found as a method."""
