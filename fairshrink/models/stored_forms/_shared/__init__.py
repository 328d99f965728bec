"""What several stored forms share; never found as one."""
