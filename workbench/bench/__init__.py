"""``python -m workbench.bench``: measured figures in a table. AWS calls, a storm of warnings, seconds to safety, cold start.

It reports; it is no timed test. Figures that have a promised bound are shown beside it, and the exit code says if one is broken.
"""
