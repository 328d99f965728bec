"""Methods that follow another compression, such as training what it left."""
