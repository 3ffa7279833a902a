"""Who is in a world, what is true of whom, and the texts that models learn it from."""
