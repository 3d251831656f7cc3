"""The pages: each has a module that asks the services, and a template that shows the answers."""
