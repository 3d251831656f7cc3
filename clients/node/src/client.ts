/** The client: methods for everyday calls beside the generated stubs. */
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
  /** The version to ask; without it, the router chooses. */
  readonly modelVersion?: number;
  /** Correlates the prediction with your records. */
  readonly requestId?: string;
  /** Equal keys are kept on one side of a canary. */
  readonly routingKey?: string;
  /** Written down with the prediction, for reports by slice. */
  readonly attributes?: Readonly<Record<string, string>>;
  /** Milliseconds; without it, the client's. */
  readonly timeoutMs?: number;
}

export type BatchOptions = Omit<PredictOptions, "routingKey" | "attributes">;

export interface ManyOptions extends Omit<PredictOptions, "requestId"> {
  /** Texts that may be under way; the server takes up to 256 of a stream at once. */
  readonly window?: number;
  /** Called with the number of results so far, at each. */
  readonly progress?: (count: number) => void;
}

/** Whether the predicted label is right, or which label is. */
export type Verdict = { readonly correct: boolean } | { readonly label: string };

export interface FeedbackOptions {
  /** Who says so. */
  readonly source?: string;
  /** Their words. */
  readonly comment?: string;
  /** What was predicted, for tasks that do not keep texts. */
  readonly text?: string;
  /** Makes repeating safe: the same id gets the first answer again. */
  readonly requestId?: string;
  /** Milliseconds; without it, the client's. */
  readonly timeoutMs?: number;
}

/**
 * A connection to one Tidemill server; it connects at the first call.
 *
 * Reads, predictions and verdicts that meet a server that is away or overloaded are sent again by
 * gRPC, up to five times in all and within their timeout. Methods reject with a `TidemillError`.
 */
export class TidemillClient {
  /** The generated stub of PredictionService. */
  readonly predictions: PredictionServiceClient;
  /** The generated stub of FeedbackService. */
  readonly feedback: FeedbackServiceClient;
  private readonly timeoutMs: number;

  /**
   * @param address host:port of the server.
   * @throws RangeError the API key would travel in clear, or is none.
   */
  constructor(address: string = DEFAULT_ADDRESS, options: ConnectionOptions = {}) {
    const [credentials, channelOptions] = connection(address, options);
    this.timeoutMs = waitMs("timeoutMs", options.timeoutMs ?? DEFAULT_TIMEOUT_MS);
    this.predictions = new PredictionServiceClient(address, credentials, channelOptions);
    this.feedback = new FeedbackServiceClient(address, credentials, channelOptions);
  }

  /** Close the connection; calls that are under way end first. */
  close(): void {
    this.predictions.close();
    this.feedback.close();
  }

  /** Predict the label of one text. */
  async predict(task: string, text: string, options: PredictOptions = {}): Promise<Prediction> {
    const { timeoutMs, ...asked } = options;
    const error = textError(text, "text", options.requestId);
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
   * @returns one result a text, in their order; an error in the place of one that cannot be
   *   answered.
   */
  async predictBatch(
    task: string,
    texts: Iterable<string>,
    options: BatchOptions = {},
  ): Promise<Result[]> {
    const { timeoutMs, ...asked } = options;
    const found = [...texts];
    const errors = found.map((text, n) => textError(text, `texts[${n}]`, options.requestId));
    // An empty text takes the place of one that cannot be sent: the others keep their numbers.
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
   * Predict the labels of any number of texts, read never further ahead than the window.
   *
   * After a lost connection, what was not answered is asked again; so is, up to five times in all,
   * a text that met a server that was away or overloaded. `timeoutMs` is how long to wait for any
   * answer before giving up.
   *
   * @returns one result a text, in their order; an error in the place of one that cannot be
   *   answered.
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

  /** Say whether a prediction is right, or which label is. Once it resolves it is durable. */
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
