"""Stands in for Colab's own package: it can be imported, which is how the bootstrap cell knows where it runs."""
