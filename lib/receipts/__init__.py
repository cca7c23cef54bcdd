"""Receipts: what was measured, on which device, with which versions, when and by which command.

A page that is read where there is no GPU shows what was recorded on one, and says so (Chapter 9, "Four engines, one
answer"). Nothing is estimated: a device of which there is no receipt has no figures. ``python -m lib receipts`` prints
the receipts, and with ``--record`` measures on this machine.
"""

from lib.receipts.receipt import COMMAND, STEPS, Receipt, Row, load, recorded, write

__all__ = ["COMMAND", "STEPS", "Receipt", "Row", "load", "recorded", "write"]
