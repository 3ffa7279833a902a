"""What of a passage comes back: its tokens by teacher forcing, its words in a continuation."""
