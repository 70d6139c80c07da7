"""Outdated, ignored or wrong manifests: each rule finds one defect, says why it matters and how to write it today.

Belongs here: rules over plain documents, what they may know of a target, and the rewriting of a text where a fix is certain.
Does not belong here: reading files or asking clusters (``cli``), what is allowed (``policies``), building manifests.
How to decide: if a released schema, a changelog or a measurement can be named as its source, it can be a rule.
"""
