/** The client: methods for everyday calls, and the generated stubs. */
import type { CallOptions, Metadata as GrpcMetadata, ServiceError } from "@grpc/grpc-js";
import { Metadata } from "@grpc/grpc-js";

import {
  connection,
  DEFAULT_ADDRESS,
  DEFAULT_TIMEOUT_MS,
  waitMs,
  type ConnectionOptions,
} from "./connection.js";
import { errorOfCall } from "./errors.js";
import {
  FeedbackServiceClient,
  SubmitFeedbackRequest,
  type Feedback,
  type SubmitFeedbackResponse,
} from "./gen/tidemill/v1/feedback_service.js";
import {
  BatchPredictRequest,
  PredictionServiceClient,
  PredictRequest,
  StreamPredictRequest,
  type BatchPredictResponse,
  type Prediction,
  type PredictResponse,
} from "./gen/tidemill/v1/prediction_service.js";
import { askAll } from "./many.js";
import { checked, textError } from "./requests.js";
import { resultOf, Window, type Result } from "./window.js";

export interface PredictOptions {
  /** How many scores to return, best first; 1 by default. */
  readonly topK?: number;
  /** The version that answers; by default, the router chooses. */
  readonly modelVersion?: number;
  /** An id that links the prediction to your records. */
  readonly requestId?: string;
  /** The same key always gets the same version in a canary release. */
  readonly routingKey?: string;
  /** Stored with the prediction, for reports by slice. */
  readonly attributes?: Readonly<Record<string, string>>;
  /** The answer to rate, in a task of the kind preference; the text is its prompt. */
  readonly response?: string;
  /** Milliseconds; by default, the client's timeout. */
  readonly timeoutMs?: number;
}

export type BatchOptions = Omit<PredictOptions, "routingKey" | "attributes" | "response">;

export interface ManyOptions extends Omit<PredictOptions, "requestId" | "response"> {
  /** How many texts may be open; the server works on up to 256 of a stream at once. */
  readonly window?: number;
  /** Called after each result with the number of results so far. */
  readonly progress?: (count: number) => void;
}

/** Whether the predicted label is right, or which label is right. */
export type Verdict = { readonly correct: boolean } | { readonly label: string };

export interface FeedbackOptions {
  /** Who says so. */
  readonly source?: string;
  /** A comment of that person. */
  readonly comment?: string;
  /** The predicted text, for tasks that do not store texts. */
  readonly text?: string;
  /** Makes repetition safe: the same id gets the first answer again. */
  readonly requestId?: string;
  /** Milliseconds; by default, the client's timeout. */
  readonly timeoutMs?: number;
}

/**
 * A connection to one Tidemill server; it connects at the first call.
 *
 * If the server is unavailable or overloaded, gRPC retries reads, predictions and verdicts within
 * their timeout, up to five attempts in all. Methods reject with a `TidemillError`.
 */
export class TidemillClient {
  /** The generated stub of PredictionService. */
  readonly predictions: PredictionServiceClient;
  /** The generated stub of FeedbackService. */
  readonly feedback: FeedbackServiceClient;
  private readonly timeoutMs: number;

  /**
   * @param address host:port of the server.
   * @throws RangeError the API key would travel unencrypted, or is not a key.
   */
  constructor(address: string = DEFAULT_ADDRESS, options: ConnectionOptions = {}) {
    const [credentials, channelOptions] = connection(address, options);
    this.timeoutMs = waitMs("timeoutMs", options.timeoutMs ?? DEFAULT_TIMEOUT_MS);
    this.predictions = new PredictionServiceClient(address, credentials, channelOptions);
    this.feedback = new FeedbackServiceClient(address, credentials, channelOptions);
  }

  /** Close the connection after open calls have ended. */
  close(): void {
    this.predictions.close();
    this.feedback.close();
  }

  /** Predict the label of one text. */
  async predict(task: string, text: string, options: PredictOptions = {}): Promise<Prediction> {
    const { timeoutMs, ...asked } = options;
    const error =
      textError(text, "text", options.requestId) ??
      textError(options.response ?? "", "response", options.requestId);
    if (error !== undefined) throw error;
    const request = PredictRequest.fromPartial({ topK: 1, ...asked, task, text });
    checked(PredictRequest, request, options.requestId);
    const response = await this.call<PredictResponse>(
      (...rest) => this.predictions.predict(request, ...rest),
      timeoutMs,
      options.requestId,
    );
    return response.prediction!;
  }

  /**
   * Predict the labels of up to 1,024 texts.
   *
   * @returns one result per text, in order; an error in the place of a text without an answer.
   */
  async predictBatch(
    task: string,
    texts: Iterable<string>,
    options: BatchOptions = {},
  ): Promise<Result[]> {
    const { timeoutMs, ...asked } = options;
    const found = [...texts];
    const errors = found.map((text, n) => textError(text, `texts[${n}]`, options.requestId));
    // An empty text replaces one that cannot be sent, so that the others keep their numbers.
    const sent = found.map((text, n) => (errors[n] === undefined ? text : ""));
    const request = BatchPredictRequest.fromPartial({ topK: 1, ...asked, task, texts: sent });
    checked(BatchPredictRequest, request, options.requestId);
    const response = await this.call<BatchPredictResponse>(
      (...rest) => this.predictions.batchPredict(request, ...rest),
      timeoutMs,
      options.requestId,
    );
    return response.results.map((each, n) => errors[n] ?? resultOf(each, options.requestId ?? ""));
  }

  /**
   * Predict the labels of any number of texts, reading at most a window ahead of the results.
   *
   * After a lost connection, unanswered texts are sent again. A text that fails because the server
   * is unavailable or overloaded is sent up to five times in all. `timeoutMs` is how long to wait
   * for the next answer.
   *
   * @returns one result per text, in order; an error in the place of a text without an answer.
   */
  predictMany(
    task: string,
    texts: Iterable<string> | AsyncIterable<string>,
    options: ManyOptions = {},
  ): AsyncGenerator<Result, void, undefined> {
    const { timeoutMs = this.timeoutMs, window = 256, progress = () => {}, ...asked } = options;
    const request = (id: string, text: string): StreamPredictRequest => {
      const error = textError(text, "text", id);
      if (error !== undefined) throw error;
      const made = StreamPredictRequest.fromPartial({ topK: 1, ...asked, id, task, text });
      return checked(StreamPredictRequest, made, id);
    };
    const bounded = new Window(request, window);
    const patienceMs = waitMs("timeoutMs", timeoutMs);
    return askAll(() => this.predictions.streamPredict(), texts, bounded, patienceMs, progress);
  }

  /** Say whether a prediction is right, or which label is. It is durable once this resolves. */
  async submitFeedback(
    predictionId: string,
    verdict: Verdict,
    options: FeedbackOptions = {},
  ): Promise<Feedback> {
    const { timeoutMs, ...said } = options;
    const request = SubmitFeedbackRequest.fromPartial({
      ...said,
      predictionId,
      verdict:
        "label" in verdict
          ? { $case: "label", value: verdict.label }
          : { $case: "correct", value: verdict.correct },
    });
    checked(SubmitFeedbackRequest, request, options.requestId);
    const response = await this.call<SubmitFeedbackResponse>(
      (...rest) => this.feedback.submitFeedback(request, ...rest),
      timeoutMs,
      options.requestId,
    );
    return response.feedback!;
  }

  private call<Response>(
    method: (
      metadata: GrpcMetadata,
      options: Partial<CallOptions>,
      callback: (error: ServiceError | null, response: Response) => void,
    ) => unknown,
    timeoutMs: number = this.timeoutMs,
    requestId = "",
  ): Promise<Response> {
    const deadline = Date.now() + waitMs("timeoutMs", timeoutMs);
    return new Promise((resolve, reject) => {
      method(new Metadata(), { deadline }, (error, response) => {
        if (error === null) resolve(response);
        else reject(errorOfCall(error, requestId));
      });
    });
  }
}
