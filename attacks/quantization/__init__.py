"""The checkpoint rounded as it would be served, in each format available here."""
