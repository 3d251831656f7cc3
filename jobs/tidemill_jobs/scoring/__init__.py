"""Batch scoring: predictions for the rows of a file or a table.

reading         rows with all their columns, from any place
chunks          rows that are scored and kept together
scorer          the answers of one version, at low priority: turns
cluster_scorer  the same answers, asked for by the nodes of a Ray cluster
answers         the answers to a chunk, kept until the output is complete
writing         the output, which appears complete or not at all
memory          the memory of the process, which stays flat
score           the job
"""
