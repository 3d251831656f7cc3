"""What Tidemill's server, jobs and command line share."""
