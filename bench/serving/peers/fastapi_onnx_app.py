"""FastAPI + ONNX Runtime: the model runs in the event loop, which costs less than a thread."""

from classifier import OnnxClassifier
from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI()
classifier = OnnxClassifier()


class Question(BaseModel):
    """The request."""

    text: str


class Answer(BaseModel):
    """The response."""

    label: str
    confidence: float


@app.post("/predict")
async def predict(question: Question) -> Answer:
    """Label one text."""
    return Answer(**classifier.classify([question.text])[0])
