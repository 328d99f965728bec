"""A smaller model, the student, learns from the outputs of a larger one, the teacher."""
