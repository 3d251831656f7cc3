"""FastAPI + TorchScript: the model runs in the event loop, which costs less than a thread."""

import torch
from encoder import FOLDER, Encoder
from fastapi import FastAPI
from pydantic import BaseModel

torch.set_num_threads(1)
app = FastAPI()
encoder = Encoder()
model = torch.jit.optimize_for_inference(torch.jit.load(FOLDER / "model.pt").eval())


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
    with torch.inference_mode():
        probabilities = model(torch.from_numpy(encoder.encode([question.text]))).numpy()
    return Answer(**encoder.answers(probabilities)[0])
