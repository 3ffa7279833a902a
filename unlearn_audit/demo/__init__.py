"""The bundled model organisms: small models whose truth is known."""
