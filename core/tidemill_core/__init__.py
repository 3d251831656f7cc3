"""The code that Tidemill's server, jobs and command line share."""
