"""Is a new release worse than what it replaces: pure verdicts over counts.

Here belongs every rule that turns two sets of counts into pass, fail, inconclusive or «not yet», and how a rollout asks for
it. Calls are taken as independent; what a node or a site adds of its own is met by choosing controls near by, and by a rise that
is tolerated, not by the test. Not here: where the counts come from, and what follows from a verdict. To decide: if it knows a
metric's name or moves a node, it is elsewhere.
"""
