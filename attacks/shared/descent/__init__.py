"""How the attacks train: adapters, optimizers, and the size of each weight that their rates are relative to."""
