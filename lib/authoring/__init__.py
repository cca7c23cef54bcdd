"""The tools of those who write the course: ``python -m lib notebooks | exercises | repository | ledger | zoo``.

They work on a clone of the repository and are not part of what is installed.
"""
