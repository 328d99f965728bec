"""Texts whose label follows the gender of the person that they are about."""
