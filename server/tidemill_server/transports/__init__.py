"""The servers that carry calls to the pipeline; `server.transport` chooses one."""
