"""The evaluation of versions on labeled rows.

measures  accuracy, classes, calibration and the worst errors of one version
paired    two versions on the same rows
evaluate  the job: the rows that can be judged, and the answers of each version
"""
