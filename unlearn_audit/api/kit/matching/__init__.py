"""How texts are compared: one spelling for all scripts, numbers, dates, endings of words, and what a sentence denies.

`words` gives the words of a text in one spelling, and is light. The rest serves `answer_key`: `reading` cuts a text
into tokens, `phrases` looks for a phrase among them, `quantities` and `dates` for what means the same in other words,
`denials` says whether a mention is meant, and `entities` finds what a whole sentence tells.
"""
