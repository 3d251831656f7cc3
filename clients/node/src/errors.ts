/**
 * The errors of failed calls, and of items without an answer in a batch or a stream.
 *
 * TidemillError                  any other code: CANCELLED, UNKNOWN, …
 * ├── InvalidRequest             `field` breaks `rule`; do not repeat the call
 * │   └── MessageTooLarge        a request or a response is over the limit on messages
 * ├── Unauthenticated            no API key or token, or one that is not valid
 * ├── PermissionDenied           the key may not do this
 * ├── NotFound                   there is no such task, prediction, version, …
 * ├── FailedPrecondition         the system's state does not allow it, as NO_CHAMPION
 * ├── Overloaded                 too many calls; `retryAfterMs` says when to retry
 * ├── DeadlineExceeded           the timeout passed
 * ├── Unavailable                the server, or a system it needs, is down; retries failed
 * └── Internal                   an error of the server; see its log
 */
import { status as Code, type ServiceError } from "@grpc/grpc-js";

import { BadRequest, ErrorInfo, RetryInfo } from "./gen/google/rpc/error_details.js";
import { Status } from "./gen/google/rpc/status.js";

/** A field of a request that breaks a rule. */
export interface FieldViolation {
  /** Path of the field, as in the proto: `text`, `texts[3]`. */
  readonly field: string;
  /** The rule, and how the value broke it. */
  readonly description: string;
}

/** The optional details of an error. */
export interface ErrorDetails {
  readonly fieldViolations?: readonly FieldViolation[];
  readonly retryAfterMs?: number | undefined;
  readonly requestId?: string;
}

/** A request, or an item of a batch or stream, that has no answer. */
export class TidemillError extends Error {
  /** The fields that break a rule; empty for other errors. */
  readonly fieldViolations: readonly FieldViolation[];
  /** When to try again, in milliseconds; undefined if the server did not say. */
  readonly retryAfterMs: number | undefined;
  /** The id of the request; empty if it had none. */
  readonly requestId: string;

  /**
   * @param code the canonical gRPC code.
   * @param reason what happened, as one UPPER_SNAKE word for programs; the name of the code if the
   *   error did not come from Tidemill itself.
   * @param message what happened, for people.
   */
  constructor(
    readonly code: Code,
    readonly reason: string,
    message: string,
    details: ErrorDetails = {},
  ) {
    super(message);
    this.name = new.target.name;
    this.fieldViolations = details.fieldViolations ?? [];
    this.retryAfterMs = details.retryAfterMs;
    this.requestId = details.requestId ?? "";
  }
}

/** A request with a field that breaks a rule. */
export class InvalidRequest extends TidemillError {
  /** The first field that breaks a rule; empty if the server named none. */
  get field(): string {
    return this.fieldViolations[0]?.field ?? "";
  }

  /** The rule, and how the value broke it. */
  get rule(): string {
    return this.fieldViolations[0]?.description ?? this.message;
  }
}

/** A request or a response over the limit on messages: send less, or request less. */
export class MessageTooLarge extends InvalidRequest {
  constructor(message: string, requestId = "") {
    super(Code.INVALID_ARGUMENT, "MESSAGE_TOO_LARGE", message, { requestId });
  }

  /** The limit in bytes; undefined if the message does not have it. */
  get limitBytes(): number | undefined {
    const found = TOO_LARGE.exec(this.message);
    return found === null ? undefined : Number(found[1]);
  }
}

/** A call without a credential, or with one that is not, or no longer, valid. */
export class Unauthenticated extends TidemillError {}

/** A call that its caller is not allowed to make. */
export class PermissionDenied extends TidemillError {}

/** A task, prediction, version or other thing that does not exist. */
export class NotFound extends TidemillError {}

/** A request that the system's state does not allow. */
export class FailedPrecondition extends TidemillError {}

/** Too many calls for the server, or for the rate of the key. */
export class Overloaded extends TidemillError {}

/** A call without an answer within its timeout. */
export class DeadlineExceeded extends TidemillError {}

/** A server, or a system that it needs, that cannot be reached. */
export class Unavailable extends TidemillError {}

/** An error in the server itself. */
export class Internal extends TidemillError {}

const KINDS: Partial<Record<Code, typeof TidemillError>> = {
  [Code.INVALID_ARGUMENT]: InvalidRequest,
  [Code.UNAUTHENTICATED]: Unauthenticated,
  [Code.PERMISSION_DENIED]: PermissionDenied,
  [Code.NOT_FOUND]: NotFound,
  [Code.FAILED_PRECONDITION]: FailedPrecondition,
  [Code.RESOURCE_EXHAUSTED]: Overloaded,
  [Code.DEADLINE_EXCEEDED]: DeadlineExceeded,
  [Code.UNAVAILABLE]: Unavailable,
  [Code.INTERNAL]: Internal,
};

// The messages of gRPC's libraries. gRPC gives overloads the same code.
const TOO_LARGE = /message .*larger than (?:max \(\d+ vs\.? )?(\d+)/;
const NOT_GRPC = "Received HTTP status code";

const DETAILS_KEY = "grpc-status-details-bin";

/** Return the error for the status of an item or a call. */
export function errorOfStatus(status: Status, requestId = ""): TidemillError {
  const code: Code = status.code in Code ? status.code : Code.UNKNOWN;
  let reason: string = Code[code];
  let fieldViolations: readonly FieldViolation[] = [];
  let retryAfterMs: number | undefined;
  for (const { typeUrl, value } of status.details) {
    switch (typeUrl.slice(typeUrl.lastIndexOf("/") + 1)) {
      case "google.rpc.ErrorInfo":
        reason = ErrorInfo.decode(value).reason;
        break;
      case "google.rpc.BadRequest":
        fieldViolations = BadRequest.decode(value).fieldViolations;
        break;
      case "google.rpc.RetryInfo": {
        const delay = RetryInfo.decode(value).retryDelay;
        retryAfterMs = delay && delay.seconds * 1000 + delay.nanos / 1e6;
        break;
      }
    }
  }
  const kind = KINDS[code] ?? TidemillError;
  return new kind(code, reason, status.message, { fieldViolations, retryAfterMs, requestId });
}

/** Return the error for one that a call of a stub failed with. */
export function errorOfCall(error: ServiceError, requestId = ""): TidemillError {
  const [packed] = error.metadata?.get(DETAILS_KEY) ?? [];
  if (packed instanceof Buffer) {
    try {
      const status = Status.decode(packed);
      if (status.code === error.code) return errorOfStatus(status, requestId);
    } catch {
      // The details were cut off on the way; the code and the message are still valid.
    }
  }
  let message = error.details || Code[error.code];
  if (error.code === Code.UNKNOWN && message.startsWith(NOT_GRPC)) {
    message += ": the address answers HTTP and not gRPC; use the server's gRPC port";
  }
  if (error.code === Code.RESOURCE_EXHAUSTED && TOO_LARGE.test(message)) {
    return new MessageTooLarge(message, requestId);
  }
  return errorOfStatus({ code: error.code, message, details: [] }, requestId);
}
