"""What two or more families share; never found as a method."""
