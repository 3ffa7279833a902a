"""Commands that `cli` wires into the application. Nothing heavy is imported before it is needed."""
