"""Random models: drawn from the specs of layers, built in the ways that Keras offers, and compared."""
