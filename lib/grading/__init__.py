"""Graded exercises: checks that run in the notebook, and the build that makes exercises from solutions."""
