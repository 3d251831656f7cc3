"""Failures that the front must survive, inflicted on a running stack."""
