"""What this costs, measured: ``make bench`` writes ``results.md``.

Belongs here: one module per question, each answering rows measured in this very run; ratios are between servers that took
turns on the same machine. Does not belong here: a number that nobody measured, a test (a bench reports, it does not fail).
How to decide: if a row could not change when the code gets slower, it is no measurement.
"""
