"""Maintenance of what has been computed: is it still what was recorded, and is it still needed?"""
