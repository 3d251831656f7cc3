"""Python client of Tidemill.

from tidemill_client import TidemillClient

with TidemillClient("127.0.0.1:50051") as client:
    prediction = client.predict("support", "My card has not arrived")
    print(prediction.label, prediction.confidence)
    client.submit_feedback(prediction.prediction_id, correct=True)
"""

from tidemill_client.client import TidemillClient
from tidemill_client.errors import FieldViolation, TidemillError, translated_errors

__all__ = ["FieldViolation", "TidemillClient", "TidemillError", "translated_errors"]
