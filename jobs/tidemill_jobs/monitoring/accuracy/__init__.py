"""The accuracy of the champion, with an interval from every honest source.

`check` is the job. `deciding_window` chooses which predictions it judges, `prediction_powered`
estimates from audits and from all other evidence together, `feedback` from users' verdicts, `parts`
for each class, slice and version, and `judging` compares the estimate with the baseline.
"""
