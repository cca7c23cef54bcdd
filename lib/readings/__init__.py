"""What a rule over positions is read with: symbols, index arrays, intervals, diagonals, tables. NumPy only."""
