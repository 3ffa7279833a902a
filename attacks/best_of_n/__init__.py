"""Many shallow variations of one question, the best answer kept (2412.03556)."""
