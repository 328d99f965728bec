"""Sentence pairs in which an occupation entails one gender and rules out the other."""
