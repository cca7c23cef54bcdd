"""Masks and attention for the course *Masking the Future*.

Import the parts by name: ``from lib.masks import causal, window``. This file imports nothing,
so ``import lib`` is instant and never loads PyTorch.
"""
