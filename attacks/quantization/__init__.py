"""The checkpoint rounded as people serve it, in each format that this machine has."""
