/** A gRPC server that answers as a test wants, with failures that the real front seldom has. */
import {
  Metadata,
  Server,
  ServerCredentials,
  status as Code,
  type ServerDuplexStream,
  type ServerUnaryCall,
} from "@grpc/grpc-js";

import { RetryInfo } from "../src/gen/google/rpc/error_details.js";
import { Status } from "../src/gen/google/rpc/status.js";
import {
  PredictionServiceService,
  type Prediction,
  type PredictionServiceServer,
  type PredictRequest,
  type StreamPredictRequest,
  type StreamPredictResponse,
} from "../src/gen/tidemill/v1/prediction_service.js";

export function status(code: Code, retryMs?: number): Status {
  const details =
    retryMs === undefined
      ? []
      : [
          {
            typeUrl: "type.googleapis.com/google.rpc.RetryInfo",
            value: Buffer.from(
              RetryInfo.encode({ retryDelay: { seconds: 0, nanos: retryMs * 1e6 } }).finish(),
            ),
          },
        ];
  return { code, message: "as the test wants", details };
}

/** A server that labels every text with itself, unless a test scripts another answer. */
export class ScriptedServer {
  /** The refusals of the next calls. */
  readonly refusals: Status[] = [];
  /** The errors of the next items of streams. */
  readonly itemErrors: Status[] = [];
  /** The numbers of answers after which the next streams end, as when a server dies. */
  readonly answersAStream: number[] = [];
  /** The metadata of each accepted call. */
  readonly metadata: Metadata[] = [];
  /** The texts sent over streams, including repeated ones. */
  readonly asked: string[] = [];
  calls = 0;
  isSilent = false;
  private readonly server: Server;
  private port = 0;

  /** @param maxMessageBytes the limit on messages that it accepts. */
  constructor(maxMessageBytes = 20 * 1024 * 1024) {
    this.server = new Server({ "grpc.max_receive_message_length": maxMessageBytes });
  }

  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  async start(): Promise<void> {
    this.server.addService(PredictionServiceService, {
      getPrediction: (_, answer) => answer({ code: Code.UNIMPLEMENTED }),
      batchPredict: (call, answer) => {
        this.calls++;
        const results = call.request.texts.map((text) => ({
          result: { $case: "prediction" as const, value: prediction(text) },
        }));
        answer(null, { results });
      },
      predict: (call, answer) => {
        const refusal = this.letIn(call);
        if (refusal !== undefined) answer(refusal);
        else answer(null, { prediction: prediction(call.request.text) });
      },
      streamPredict: (call) => this.stream(call),
    } satisfies PredictionServiceServer);
    this.port = await new Promise<number>((resolve, reject) => {
      this.server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, port) =>
        error ? reject(error) : resolve(port),
      );
    });
  }

  stop(): void {
    this.server.forceShutdown();
  }

  private letIn(
    call: ServerUnaryCall<PredictRequest, unknown> | ServerDuplexStream<StreamPredictRequest, never>,
  ): { code: Code; details: string; metadata: Metadata } | undefined {
    this.calls++;
    const refusal = this.refusals.shift();
    if (refusal === undefined) {
      this.metadata.push(call.metadata);
      return undefined;
    }
    const metadata = new Metadata();
    metadata.set("grpc-status-details-bin", Buffer.from(Status.encode(refusal).finish()));
    return { code: refusal.code, details: refusal.message, metadata };
  }

  private stream(call: ServerDuplexStream<StreamPredictRequest, StreamPredictResponse>): void {
    const refusal = this.letIn(call as ServerDuplexStream<StreamPredictRequest, never>);
    if (refusal !== undefined) {
      call.emit("error", refusal);
      return;
    }
    let left = this.answersAStream.shift() ?? Infinity;
    call.on("data", ({ id, text }: StreamPredictRequest) => {
      if (left-- === 0) call.emit("error", { code: Code.UNAVAILABLE, details: "dying" });
      if (left < 0) return;
      this.asked.push(text);
      if (this.isSilent) return;
      const error = this.itemErrors.shift();
      call.write({
        id,
        result: error
          ? { $case: "error", value: error }
          : { $case: "prediction", value: prediction(text) },
      });
    });
    call.on("end", () => call.end());
  }
}

function prediction(label: string): Prediction {
  return {
    predictionId: "p",
    label,
    confidence: 1,
    scores: [{ label, score: 1 }],
    modelVersion: 1,
    abstained: false,
  };
}
