"""The fact in other forms: cloze, choice, true or false, reversed."""
