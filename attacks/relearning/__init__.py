"""A few steps of fine-tuning on data that holds none of the facts that are scored."""
