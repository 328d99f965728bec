"""Transfers and archives, which several sources share."""
