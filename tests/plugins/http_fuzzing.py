"""What Schemathesis needs to know: a document of JSON is a body of one line."""

import schemathesis

schemathesis.serializer.alias("application/x-ndjson", "application/json")
