"""Recipes for the command line: ``<architecture>/<stage>.yaml``, each number with the words of its paper, or the remark that it is ours."""
