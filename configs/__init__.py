"""Recipes for the command line, as ``<architecture>/<stage>.yaml``.

Each number is annotated with the words of its paper, or with the remark that it is ours.
"""
