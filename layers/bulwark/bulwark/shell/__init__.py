"""The impure half, kept dull: AWS becomes facts, plans become calls, outcomes become reports."""
