"""Generated from solutions/ by `python -m lib exercises`: one module for each exercise."""
