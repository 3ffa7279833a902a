"""How fast our adversarial-suffix search is beside nanoGCG."""
