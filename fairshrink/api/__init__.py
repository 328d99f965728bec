"""The implementation of the functions of `import fairshrink`, which are described there."""
