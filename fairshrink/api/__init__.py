"""What the functions of `import fairshrink` do; they are described there."""
